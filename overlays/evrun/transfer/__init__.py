"""Moving runs between servers and into files, over the API: the vendor's and ours alike."""
