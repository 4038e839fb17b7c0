"""The steps of `import_spec.py`: each a pure function from a document to a document."""
