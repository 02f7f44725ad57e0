"""The OpenAPI document of a server, with the shapes of its own model's answers."""
from trainbox.serving.state import State
def document(state: State) -> dict:
    return {}
