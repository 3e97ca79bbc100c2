"""A page to draw on: the models at work, served to this machine's own browser. Needs starlette and uvicorn."""
