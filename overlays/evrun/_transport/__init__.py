"""One request on its way: settings, attempts and retries, connections, and errors from answers."""
