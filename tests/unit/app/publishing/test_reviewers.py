"""Whose lines a patch changes."""

from __future__ import annotations

from app.publishing.reviewers import replaced_lines

HEAD = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n"


def test_removed_lines_and_those_before_an_addition_are_named_as_in_the_base() -> None:
    patch = HEAD.format("shop/cart.py") + (
        "@@ -2,5 +2,6 @@\n a\n-b\n-c\n d\n+e\n+e\n+e\n+e\n-f\n"
        "@@ -20,2 +21,3 @@\n a\n+b\n c\n"
        "@@ -40,2 +42,1 @@\n a\n-b\n"
    )
    assert replaced_lines(patch) == {"shop/cart.py": [(3, 4), (6, 6), (20, 20), (41, 41)]}


def test_new_files_and_tests_are_nobodys_and_the_top_of_a_file_has_no_line_before() -> None:
    new = (
        "diff --git a/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n"
        "@@ -0,0 +1 @@\n+a\n"
    )
    test = HEAD.format("tests/test_a.py") + "@@ -1 +1 @@\n-a\n+b\n"
    top = HEAD.format("top.py") + "@@ -1 +1,2 @@\n+new\n a\n"
    assert replaced_lines(new + test + top) == {}
