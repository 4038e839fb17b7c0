"""What the server keeps, by resource: functions over a `Scope`, without any HTTP.

They answer in the shapes of the contract's responses, as plain data, and raise the errors of
`errors.py`.
"""
