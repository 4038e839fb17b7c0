"""What both scripts know of OpenAPI documents: reading them, places in them, saying no."""
