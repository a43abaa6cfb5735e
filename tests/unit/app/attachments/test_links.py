"""What an issue links to: what is taken, and what is left alone."""

from __future__ import annotations

import pytest

from app.attachments.links import ImageLink, links, signed_address

WEB = "https://github.com"
GUID = "0a1b2c3d-1111-2222-3333-444455556666"
OTHER = "ffffffff-1111-2222-3333-444455556666"
UPLOAD = f"{WEB}/user-attachments/assets/{GUID}"


def test_jobs_and_attachments_are_found_once_each():
    body = (
        "See https://github.com/acme/shop/actions/runs/77/job/4711?pr=3 and again "
        "https://github.com/acme/shop/actions/runs/77/job/4711\n"
        "[crash.log](https://github.com/user-attachments/files/123/crash.log)\n"
        "[old](https://github.com/acme/shop/files/9/out.txt)"
    )
    found = links([body, body], WEB, "acme/shop")
    assert found.checks == (4711,)
    assert found.files == (
        "https://github.com/user-attachments/files/123/crash.log",
        "https://github.com/acme/shop/files/9/out.txt",
    )


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/other/repo/actions/runs/77/job/4711",
        "https://evil.example/user-attachments/files/123/crash.log",
        "https://github.com.evil.example/user-attachments/files/1/a.log",
        "https://github.com/user-attachments/files/123/photo.png",
        "https://github.com/acme/shop/files/../../etc/passwd.log",
        "https://github.com/acme/shop/actions/runs/" + "7" * 500 + "/job/1",
        f"https://evil.example/user-attachments/assets/{GUID}",
        f"https://github.com.evil.example/user-attachments/assets/{GUID}",
        f"{UPLOAD}0",
        f"{WEB}/other/repo/assets/7/{GUID}",
        f"{WEB}/other/repo/blob/main/docs/shot.png",
        f"{WEB}/acme/shop/blob/main/docs/shot.svg",
        f"{WEB}/acme/shop/blob/main/docs/page.html",
        "https://user-images.githubusercontent.com/1/a.svg",
        "https://evil.example/a.png",
        "http://169.254.169.254/a.png",
        "data:image/png;base64,AAAA",
    ],
)
def test_anything_else_is_left_alone(text: str):
    found = links([text], WEB, "acme/shop")
    assert (found.checks, found.files, found.images) == ((), (), ())


def test_known_images_take_no_place_of_new_ones():
    url = f"{WEB}/acme/shop/blob/main/docs"
    text = " ".join(f"{url}/{n}.png" for n in range(9))
    every = links([text], WEB, "acme/shop", most=None).images
    known = [link.key for link in every[:6]]
    assert len(every) == 9
    assert [i.path for i in links([text], WEB, "acme/shop", known=known).images] == [
        "docs/6.png",
        "docs/7.png",
        "docs/8.png",
    ]


def test_there_is_a_limit_to_links():
    text = " ".join(f"{WEB}/user-attachments/files/{n}/a.log" for n in range(50))
    assert len(links([text], WEB, "acme/shop").files) == 5
    text = " ".join(f"{UPLOAD[:-2]}{n:02}" for n in range(50))
    assert len(links([text], WEB, "acme/shop").images) == 5


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (f"![The total]({UPLOAD})", ImageLink(UPLOAD, "The total", GUID)),
        (
            f'<img width="400" alt="The total" src="{UPLOAD}" />',
            ImageLink(UPLOAD, "The total", GUID),
        ),
        (f"see {UPLOAD}.", ImageLink(UPLOAD, GUID, GUID)),
        (
            f"![]({WEB}/Acme/shop/assets/7/{GUID})",
            ImageLink(f"{WEB}/Acme/shop/assets/7/{GUID}", "image", GUID),
        ),
        (
            "![a](https://user-images.githubusercontent.com/1/9-a.PNG)",
            ImageLink("https://user-images.githubusercontent.com/1/9-a.PNG", "a"),
        ),
        (
            f"![x]({WEB}/acme/shop/blob/main/docs/a%20b/shot.png?raw=true)",
            ImageLink(
                f"{WEB}/acme/shop/blob/main/docs/a%20b/shot.png",
                "x",
                "",
                "docs/a b/shot.png",
                "main",
            ),
        ),
        (
            "https://raw.githubusercontent.com/acme/shop/refs/heads/main/shot.webp",
            ImageLink(
                "https://raw.githubusercontent.com/acme/shop/refs/heads/main/shot.webp",
                "shot.webp",
                "",
                "shot.webp",
                "main",
            ),
        ),
    ],
    ids=["markdown", "element", "bare", "of 2023", "before that", "repository", "raw"],
)
def test_images_are_found_with_what_they_are_called(text: str, link: ImageLink):
    assert links([text], WEB, "acme/shop").images == (link,)


def test_an_upload_is_one_image_however_often_it_is_linked():
    signed = f"https://private-user-images.githubusercontent.com/1/2-{GUID}.png?jwt=a.b.c"
    assert len(links([UPLOAD, f"![again]({UPLOAD})", signed], WEB, "acme/shop").images) == 1


def test_a_hostile_name_is_short_printable_and_on_one_line():
    name = "a\u202e\x1b\t\x07<script>" + "n" * 200
    [link] = links([f"![{name}]({UPLOAD})"], WEB, "acme/shop").images
    assert link.name.isprintable()
    assert len(link.name) == 80
    assert link.name.startswith("a <script>n")


SIGNED = f"https://private-user-images.githubusercontent.com/1/2-{GUID}.png?jwt=h.p.s"
LINK = ImageLink(UPLOAD, "a", GUID)


@pytest.mark.parametrize(
    ("rendered", "expected"),
    [
        ([], UPLOAD),
        ([SIGNED], SIGNED),
        ([SIGNED.upper().replace("HTTPS", "https")], SIGNED.upper().replace("HTTPS", "https")),
        (
            [f"{WEB}/private-user-images/1/2-{GUID}.png?jwt=x"],
            f"{WEB}/private-user-images/1/2-{GUID}.png?jwt=x",
        ),
        # Of another upload, of another host, with the GUID anywhere but in the file's own name.
        ([SIGNED.replace(GUID, OTHER)], UPLOAD),
        ([SIGNED.replace("githubusercontent.com", "evil.example")], UPLOAD),
        ([SIGNED.replace("https://", "https://evil.example@")], UPLOAD),
        ([f"https://private-user-images.githubusercontent.com/{GUID}/2-{OTHER}.png?jwt=x"], UPLOAD),
        ([f"https://private-user-images.githubusercontent.com/1/x.png?jwt={GUID}"], UPLOAD),
        ([SIGNED.partition("?")[0]], UPLOAD),
        (["https://[broken"], UPLOAD),
    ],
)
def test_an_upload_has_the_signed_address_that_holds_its_guid(rendered: list[str], expected: str):
    assert signed_address(LINK, rendered, WEB) == expected
