"""How the application runs: on a socket, in several processes, or inside the caller's process."""
