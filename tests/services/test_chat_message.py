"""Questions about pictures, in the form that chat servers read."""

from __future__ import annotations

from medgrpo.services.chat import ChatClient
from medgrpo.services.chat_message import PicturedPrompt, message_bytes, pictures_in, user_message
from tests.services.chat_server import serve

PICTURE = "data:image/png;base64,AAAA"


def test_pictures_come_with_their_captions_in_front_of_the_question() -> None:
    with serve(lambda request: "a grasper") as server:
        client = ChatClient("m", server.base_url, max_retries=0, timeout_s=60.0)
        reply = client.ask([PicturedPrompt("Which?", [("0.0 s", PICTURE), ("2.0 s", PICTURE)])])[0]
    assert reply.text == "a grasper"
    content = server.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in content if part["type"] == "text"] == ["0.0 s", "2.0 s", "Which?"]
    assert content[1]["image_url"] == {"url": PICTURE}


def test_sizes_count_text_and_pictures_apart() -> None:
    message = user_message(PicturedPrompt("é?", [("1 s", PICTURE)]))
    assert (message_bytes(message), pictures_in(message)) == (6, 1)
    plain = user_message("é?")
    assert (message_bytes(plain), pictures_in(plain)) == (3, 0)
