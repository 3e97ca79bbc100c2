"""A web page to draw on, which runs the models and is served to this machine only. Needs starlette and uvicorn."""
