"""The target `cloudrun`: a backend on Cloud Run."""
