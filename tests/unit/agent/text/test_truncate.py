"""Cutting long outputs."""

from agent.text.truncate import cut, log_id_of


def test_short_output_is_left_alone():
    assert cut("a\nb", "bash:1") == "a\nb"


def test_long_output_keeps_head_and_tail_and_names_the_log():
    text = "\n".join(f"line {i}" for i in range(10_000))
    shown = cut(text, "bash:7", head=100, tail=100)
    assert shown.startswith("line 0\n")
    assert shown.endswith("line 9999")
    assert "bash:7" in shown
    assert len(shown) < 400


def test_one_endless_line_is_cut_inside():
    shown = cut("x" * 1_000_000, "bash:1")
    assert len(shown) < 3_000
    assert "998000 characters" in shown


def test_log_ids_are_the_calls_names_and_counters():
    assert log_id_of("functions.bash:12") == "bash:12"
    assert log_id_of("call_x") == "call_x"
