"""The layers around MLflow's own application, on ASGI (uvicorn) and on WSGI (gunicorn)."""
