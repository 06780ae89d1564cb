"""What stands around MLflow's own application, on ASGI (uvicorn) and on WSGI (gunicorn)."""
