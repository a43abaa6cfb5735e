"""Stack traces of five languages, and their frames in a repository."""

import pytest

from agent.text.tracebacks import describe, frames, in_tree

PYTHON = """Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/flask/app.py", line 2, in wsgi
    run()
  File "/app/src/shop/basket.py", line 14, in total
    return sum(p for p in self.prices)
TypeError: unsupported operand
"""
NODE = """TypeError: Cannot read properties of undefined (reading 'price')
    at total (/srv/web/lib/basket.js:10:15)
    at Object.<anonymous> (file:///srv/web/test/basket.test.mjs:4:3)
    at /srv/web/node_modules/express/lib/router.js:5:1
    at node:internal/modules/cjs/loader:1105:14
"""
GO = """panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
example.com/shop/basket.Total(...)
\t/home/ci/shop/basket/basket.go:21 +0x1d
main.main()
\t/home/ci/shop/main.go:9 +0x25
"""
JAVA = """Exception in thread "main" java.lang.NullPointerException: price
\tat com.acme.shop.Basket.total(Basket.java:31)
\tat com.acme.shop.Main.main(Main.java:8)
\tat java.base/java.lang.Thread.run(Thread.java:833)
"""
RUST = """thread 'main' panicked at src/basket.rs:12:9:
index out of bounds: the len is 0 but the index is 0
stack backtrace:
   3: shop::basket::cheapest
             at ./src/basket.rs:12:9
   4: shop::main
             at ./src/main.rs:4:5
"""


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        (PYTHON, ["src/shop/basket.py", "src/shop/app.py"], ["src/shop/basket.py:14"]),
        (
            NODE,
            ["lib/basket.js", "test/basket.test.mjs", "lib/router.js"],
            ["lib/basket.js:10", "test/basket.test.mjs:4"],
        ),
        (GO, ["basket/basket.go", "main.go", "other/main.go"], ["basket/basket.go:21"]),
        (
            JAVA,
            ["src/main/java/com/acme/shop/Basket.java", "src/main/java/com/acme/shop/Main.java"],
            [
                "src/main/java/com/acme/shop/Basket.java:31",
                "src/main/java/com/acme/shop/Main.java:8",
            ],
        ),
        (RUST, ["src/basket.rs", "src/main.rs"], ["src/basket.rs:12", "src/main.rs:4"]),
    ],
    ids=["python", "javascript", "go", "java", "rust"],
)
def test_frames_in_the_repository_are_named(text: str, files: list[str], expected: list[str]):
    placed = in_tree(frames(text), files)
    found = [f"{f.path}:{f.line}" for f in placed]
    # `main.go` fits two files equally well in the Go case, so it is left out.
    assert found == expected


def test_functions_are_named_where_the_trace_does():
    [frame] = in_tree(frames(PYTHON), ["src/shop/basket.py"])
    assert frame.function == "total"
    assert describe([frame]) == "frames in this repository: src/shop/basket.py:14 in total"


def test_a_text_without_traces_has_no_frames():
    assert frames("all is well\n" * 1000) == []
    assert "no frame" in describe([])


def test_an_endless_line_is_passed_over():
    assert frames('  File "' + "x" * 1_000_000) == []
