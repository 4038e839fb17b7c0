"""The operations of the contract, one module per resource, sync and async.

Each module has a class of calls (pure: arguments checked, the generated function and its arguments
bound) and two thin classes that run them. Only these modules and the clients import `evrun_api`.
"""
