"""What every part stands on: header names, redaction, files, extras. It imports errors at most."""
