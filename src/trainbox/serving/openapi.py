"""The OpenAPI document of a server, with the shapes of its own model's answers."""

from collections.abc import Mapping
from typing import Any

from trainbox import __version__, tasks
from trainbox.serving.formats import JSON, LINES, MOST_PICTURES, PICTURES
from trainbox.serving.invocations import ATTRIBUTES
from trainbox.serving.state import State

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_ERROR: Schema = {
    "type": "object",
    "properties": {"error": _TEXT},
    "required": ["error"],
    "additionalProperties": False,
}
_REFUSALS = {
    "400": "The request is malformed, or the picture cannot be read.",
    "404": "There is no such model.",
    "405": "That method is not for this address.",
    "406": "The answer cannot be had in that form.",
    "408": "The request came too slowly.",
    "413": "The body is too large.",
    "415": "The body is of no type that is read.",
    "500": "The interpreters died of the picture.",
    "503": "Too much waits already, or no model is loaded yet. Ask again after Retry-After seconds.",
    "504": "There was no answer in time.",
}


def document(state: State) -> Schema:
    """Return the document; until a model is loaded its answers are any object."""
    paths: Schema = {
        "/ping": {"get": _plain("Whether the model answers, for Amazon SageMaker", "503")},
        "/invocations": {"post": invocation(state, "Answer pictures")},
        "/execution-parameters": {"get": _told("How to batch-transform", _PARAMETERS)},
        "/livez": {"get": _told("Whether the process runs", _flag("alive"))},
        "/readyz": {"get": _told("Whether the model answers", _flag("ready"), also={"503": _flag("ready")})},
        "/metrics": {"get": _told("Counters for Prometheus", _TEXT, media="text/plain")},
        "/card": {"get": _told("What the model is", {"type": "object"}, "503")},
        "/openapi.json": {"get": _told("This document", {"type": "object"})},
    }
    if state.settings.multi_model:
        del paths["/invocations"], paths["/card"]
        paths |= _models(state)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Trainbox", "version": __version__, "description": _about(state)},
        "paths": paths,
    }


def invocation(state: State, summary: str) -> Schema:
    """Return the operation that answers pictures."""
    service = state.model.service if state.model else None
    answer: Schema = _any_of(service.wordings) if service else {"type": "object"}
    several = {"type": "array", "items": {"anyOf": [answer, _ERROR]}}
    answers: Schema = {
        JSON: {
            "schema": {
                "anyOf": [
                    answer,
                    several,
                    {
                        "type": "object",
                        "properties": {"predictions": several},
                        "required": ["predictions"],
                    },
                ]
            }
        },
        LINES: {"schema": _TEXT},
    }
    examples = {
        name or "plain": {"summary": one.summary, "value": one.example}
        for name, one in (service.wordings.items() if service else ())
    }
    if examples:
        answers[JSON]["examples"] = examples
    return {
        "summary": summary,
        "parameters": _parameters(service),
        "requestBody": {"required": True, "content": _bodies(service)},
        "responses": {"200": {"description": "The answer.", "content": answers}, **_refusals(*_REFUSALS)},
    }


def _bodies(service: tasks.Service | None) -> Schema:
    threshold = {"threshold": {"type": "number", "minimum": 0, "maximum": 1}}
    extra: Schema = threshold if service is None or service.takes_threshold else {}
    picture: Schema = {"type": "string", "contentEncoding": "base64", "minLength": 4}
    one = _asking("image", picture, extra)
    images = _asking("images", _up_to_many(picture), extra)
    binary: Schema = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    return {
        **dict.fromkeys(PICTURES[:3], binary),
        JSON: {"schema": {"anyOf": [one, images, _up_to_many(one)]}},
        LINES: {"schema": {"type": "string", "minLength": 1}},
    }


def _asking(name: str, what: Schema, extra: Schema) -> Schema:
    """Return the schema of an object that must have ``name``, may have ``extra`` and nothing else."""
    return {
        "type": "object",
        "properties": {name: what, **extra},
        "required": [name],
        "additionalProperties": False,
    }


def _up_to_many(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": MOST_PICTURES}


def _parameters(service: tasks.Service | None) -> list[Schema]:
    header = {
        "name": ATTRIBUTES,
        "in": "header",
        "schema": {"type": "string", "maxLength": 1024},
        "description": "Sent back; threshold=0.5 in it is a threshold.",
    }
    if service is not None and not service.takes_threshold:
        return [header]
    threshold = {
        "name": "threshold",
        "in": "query",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
        "description": "The least score of what is answered; the best that training found if not given.",
    }
    return [threshold, header]


def _models(state: State) -> Schema:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    told: Schema = {
        "type": "object",
        "properties": {"modelName": _TEXT, "modelUrl": _TEXT},
        "required": ["modelName", "modelUrl"],
    }
    order: Schema = {
        "type": "object",
        "properties": {"model_name": {"type": "string", "minLength": 1}, "url": _TEXT},
        "required": ["model_name", "url"],
    }
    load = _told("Load a model", told, "400", "408", "409", "413", "507")
    load["requestBody"] = {"required": True, "content": {JSON: {"schema": order}}}
    listed: Schema = {"type": "object", "properties": {"models": {"type": "array", "items": told}}}
    token = {"name": "next_page_token", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"}}
    return {
        "/models": {"post": load, "get": {**_told("The models loaded", listed, "400"), "parameters": [token]}},
        "/models/{name}": {
            "get": {**_told("One model", told, "404"), "parameters": [name]},
            "delete": {**_plain("Take a model away", "404"), "parameters": [name]},
        },
        "/models/{name}/invoke": {
            "post": {**(one := invocation(state, "Answer pictures")), "parameters": [name, *one["parameters"]]}
        },
    }


def _any_of(wordings: Mapping[str, tasks.Wording]) -> Schema:
    schemas = [dict(wording.schema) for wording in wordings.values()]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _told(
    summary: str, schema: Schema, *refusals: str, media: str = JSON, also: Mapping[str, Schema] | None = None
) -> Schema:
    """Return an operation that answers with ``schema``; ``also``: other statuses with theirs."""
    answered = {
        status: {"description": "See the answer.", "content": {JSON: {"schema": one}}}
        for status, one in (also or {}).items()
    }
    content = {media: {"schema": schema}}
    responses = {"200": {"description": summary, "content": content}, **answered, **_refusals(*refusals, "405")}
    return {"summary": summary, "responses": responses}


def _plain(summary: str, *statuses: str) -> Schema:
    """Return an operation whose answers have no body, except where there is a reason to give."""
    said = {status: {"description": _REFUSALS[status]} for status in statuses}
    return {"summary": summary, "responses": {"200": {"description": summary}, **said, **_refusals("405")}}


def _refusals(*statuses: str) -> Schema:
    more = {"409": "The model is loaded already.", "507": "There is no memory for the model."} | _REFUSALS
    return {status: {"description": more[status], "content": {JSON: {"schema": _ERROR}}} for status in statuses}


def _flag(name: str) -> Schema:
    return {"type": "object", "properties": {name: {"type": "boolean"}}, "required": [name]}


def _about(state: State) -> str:
    if state.model is None or not state.model.service.wordings:
        return "A model that answers pictures."
    lines = [
        f"`Accept: {JSON};{name}=1`: {one.summary}" if name else f"Plain: {one.summary}"
        for name, one in state.model.service.wordings.items()
    ]
    return "\n\n".join(["A model that answers pictures. Answers are worded as the Accept header asks.", *lines])


_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "MaxConcurrentTransforms": {"type": "integer"},
        "BatchStrategy": {"enum": ["MULTI_RECORD", "SINGLE_RECORD"]},
        "MaxPayloadInMB": {"type": "integer"},
    },
    "required": ["MaxConcurrentTransforms", "BatchStrategy", "MaxPayloadInMB"],
}
