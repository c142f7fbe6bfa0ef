"""What serving and taking files costs by itself: starlette's own responses on uvicorn, no checks, no database."""

import asyncio
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route


def build(folder: Path) -> Starlette:
    """GET answers the file of the name, PUT writes it."""

    async def get(request: Request) -> Response:
        return FileResponse(folder / request.path_params["name"])

    async def put(request: Request) -> Response:
        with (folder / request.path_params["name"]).open("wb") as file:
            async for part in request.stream():
                await asyncio.to_thread(file.write, part)
        return PlainTextResponse("kept")

    return Starlette(routes=[Route("/{name}", get, methods=["GET"]), Route("/{name}", put, methods=["PUT"])])


if __name__ == "__main__":
    uvicorn.run(build(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", http="h11")
