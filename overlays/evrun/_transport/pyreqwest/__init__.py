"""The transport that `transport="fast"` names: pyreqwest below httpx."""
