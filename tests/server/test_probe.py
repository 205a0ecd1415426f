"""The probe of containers and service managers: what it takes for an answer."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port

from ibdesk_server import probe


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names, to those who show the key 401 for others."""

    def do_GET(self) -> None:
        status = int(self.path.rpartition("/")[2])
        if self.path.startswith("/locked/") and self.headers.get("X-API-Key") != "the key":
            status = 401
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["200", "204", "303"])
def test_an_answer_and_a_redirection_are_well(port: int, path: str) -> None:
    assert probe.main([f"http://127.0.0.1:{port}/{path}"]) == 0


@pytest.mark.parametrize("path", ["401", "404", "500", "503"])
def test_a_refusal_is_not_and_is_told_in_one_line(port: int, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{port}/{path}"

    assert probe.main([url]) == 1
    assert capsys.readouterr().err.startswith(f"{url} answers {path} ")


def test_the_key_is_read_from_a_file_and_shown(port: int, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("the key\n")
    url = f"http://127.0.0.1:{port}/locked/200"

    assert probe.main([url]) == 1
    assert probe.main([url, "--key-file", str(key_file)]) == 0


def test_a_key_that_is_not_there_is_named(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing"

    assert probe.main([f"http://127.0.0.1:{port}/200", "--key-file", str(missing)]) == 1
    assert str(missing) in capsys.readouterr().err


def test_a_port_that_takes_connections_is_well(port: int) -> None:
    assert probe.main([f"tcp://127.0.0.1:{port}"]) == 0


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_a_port_where_nobody_listens_is_not(scheme: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([f"{scheme}://127.0.0.1:{free_port()}"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_desk_port_must_speak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "desk.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        # It takes connections and says nothing.
        assert probe.main([f"unix:{path}", "--seconds", "0.1"]) == 1
        assert "does not answer" in capsys.readouterr().err

        caller, _ = listener.accept()
        caller.close()

        def speak() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.sendall(b"welcome")

        speaking = threading.Thread(target=speak)
        speaking.start()
        assert probe.main([f"unix:{path}"]) == 0
        speaking.join()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "https://127.0.0.1:1/", "http://127.0.0.1/", "tcp://127.0.0.1:x"])
def test_an_address_of_another_kind_is_told(url: str) -> None:
    assert probe.main([url]) == 1


def test_it_needs_nothing_but_python(port: int) -> None:
    asking = f"from ibdesk_server import probe; probe.main(['http://127.0.0.1:{port}/200'])"
    program = f"import sys; before = set(sys.modules); {asking}; print(*set(sys.modules) - before)"

    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    foreign = {name.partition(".")[0] for name in fresh.stdout.split()} - set(sys.stdlib_module_names)
    assert foreign == {"ibdesk_server"}


def test_a_folder_stands_for_the_guardian_of_whichever_mode(tmp_path: Path) -> None:
    """A socket that a guardian of another mode has left behind is no answer."""
    nobody = probe.main([f"guardian:{tmp_path}"])
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "guardian-live.sock"))
    silent = probe.main([f"guardian:{tmp_path}"])
    with socket.socket(socket.AF_UNIX) as guardian:
        guardian.bind(str(tmp_path / "guardian-paper.sock"))
        guardian.listen()

        def answer() -> None:
            with guardian.accept()[0] as line:
                line.recv(100)
                line.sendall(b"{}\n")

        thread = threading.Thread(target=answer)
        thread.start()
        answered = probe.main([f"guardian:{tmp_path}"])
        thread.join()

    assert (nobody, silent, answered) == (1, 1, 0)
