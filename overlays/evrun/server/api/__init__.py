"""HTTP: requests read and checked, operations routed, errors answered. It stands on the store."""
