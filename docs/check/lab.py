"""Look at the page of the lab in a browser: `python docs/check/lab.py PAGE OUT`.

It needs the package `playwright`, and Chromium at the path that CHROMIUM names (default:
/usr/bin/chromium). It moves each slider by the keyboard, and fails where a panel or its description
does not change, the console tells an error, or anything but the page is asked for. Screenshots go
to the folder OUT.
"""

import os
import sys
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PANELS = ("raster", "traces", "field", "spectrum")
NOTHING = "\N{EN DASH}"  # in place of a number that no run has
SLIDERS = ("strength", "picrotoxin", "second")
SIZES = {"phone": (390, 844), "hall": (1400, 900)}


def main(page: Path, out: Path) -> int:
    """Check a page and return how many things are wrong."""
    out.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                look(browser, page, out / f"{name}-{scheme}", (width, height), scheme, faults)
        browser.close()
    print("\n".join(faults) or "nothing is wrong")
    return len(faults)


def look(
    browser: Browser, page: Path, shot: Path, size: tuple[int, int], scheme: str, faults: list[str]
) -> None:
    """Load the page at a size, use all of it, and add what is wrong to `faults`."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    tab = context.new_page()
    address = page.resolve().as_uri()
    told = shot.name
    tab.on("console", lambda line: faults.append(f"{told}: console: {line.text}"))
    tab.on("pageerror", lambda error: faults.append(f"{told}: {error}"))
    tab.on(
        "request",
        lambda asked: (
            None
            if asked.url.split("#")[0] == address or asked.url == "data:,"
            else faults.append(f"{told}: asks for {asked.url}")
        ),
    )
    tab.goto(address)
    tab.screenshot(path=f"{shot}.png", full_page=True)
    for slider in SLIDERS:
        move(tab, slider, told, faults)
    wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if wide > 0:
        faults.append(f"{told}: {wide} pixels stick out at the side")
    tab.click("#keep")
    tab.locator("#own").check()
    for part in tab.locator("details").all():
        part.locator("summary").click()
    for button in tab.locator("details button").all():
        before = pictures(tab)
        button.click()
        if pictures(tab) == before:
            faults.append(f"{told}: a button of a question sets nothing")
    empty = [text for text in tab.locator("[data-at]").all_text_contents() if text in ("", NOTHING)]
    if empty:
        faults.append(f"{told}: {len(empty)} numbers of the answers are missing")
    tab.screenshot(path=f"{shot}-used.png", full_page=True)
    tab.evaluate("window.scrollTo(0, 0)")
    tab.screenshot(path=f"{shot}-screen.png")
    tab.pdf(path=f"{shot}.pdf")
    context.close()


def move(tab: Page, slider: str, told: str, faults: list[str]) -> None:
    """Go through all values of a slider by the keyboard, and back to where it was."""
    thumb = tab.locator(f"#{slider}")
    begin, most = (int(thumb.evaluate(f"it => it.{name}")) for name in ("value", "max"))
    thumb.press("Home")
    seen = [(*pictures(tab), *words(tab))]
    for _ in range(most):
        thumb.press("ArrowRight")
        seen.append((*pictures(tab), *words(tab)))
        if not thumb.get_attribute("aria-valuetext"):
            faults.append(f"{told}: {slider} does not say its value")
    for k, (before, after) in enumerate(pairwise(seen)):
        same = [
            name for name, one, other in zip(PANELS * 2, before, after, strict=True) if one == other
        ]
        if same:
            faults.append(f"{told}: {slider} {k} to {k + 1}: {', '.join(same)} did not change")
    thumb.press("Home")
    for _ in range(begin):
        thumb.press("ArrowRight")


def pictures(tab: Page) -> list[str]:
    """Return what each panel shows."""
    return [tab.evaluate("id => document.getElementById(id).toDataURL()", name) for name in PANELS]


def words(tab: Page) -> list[str | None]:
    """Return what each panel is said to show."""
    return [tab.get_attribute(f"#{name}", "aria-label") for name in PANELS]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(1 if main(Path(sys.argv[1]), Path(sys.argv[2])) else 0)
