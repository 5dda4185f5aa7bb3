"""Look at the whole site in a browser: `python docs/check/site.py SITE [SCREENSHOTS]`.

Of every page: nothing fails on its console, it asks no other host for anything, its figures are
there with a text for who cannot see them, its mathematics has a size, its folded parts open, its
links lead somewhere, and it is no wider than a telephone's screen. The search finds what it should.
"""

import functools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urldefrag, urljoin

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
NARROW, WIDE = 390, 1400
SEARCHED = "picrotoxin"
# Pages of which pictures are kept: the sessions, and pages of each other kind.
SHOWN = ("tutorials/", "index.html", "concepts/", "howto/sweeps", "models/decision", "api/networks")

_FIGURES = """() => [...document.querySelectorAll('article img')].map(
    i => [i.getAttribute('src'), i.naturalWidth, (i.getAttribute('alt') || '').trim()])"""
_FORMULAS = """() => [...document.querySelectorAll('article math')].map(
    m => [m.textContent, m.getBoundingClientRect().width])"""
_FOLDED = """() => [...document.querySelectorAll('article details')].map(d => {
    d.open = false; d.querySelector('summary').click();
    return [d.querySelector('summary').textContent.trim(), d.open && d.scrollHeight > 30]; })"""
_LINKS = "() => [...document.querySelectorAll('a[href]')].map(a => a.href)"
_IDS = "() => [...document.querySelectorAll('[id]')].map(e => e.id)"
_SEARCHED = """() => /found|did not match/.test(
    document.querySelector('#search-results .search-summary')?.textContent || '')"""
_WIDER = "() => document.documentElement.scrollWidth - window.innerWidth"


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of each request."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where the browser has left: what it misses it says itself."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """Serve a folder on this machine alone, and give its address."""
    handler = functools.partial(_Silent, directory=str(site))
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


class Look:
    """A look at all pages of a site.

    Args:
        browser: The browser.
        base: Where the site is served.
        site: The folder.

    Attributes:
        found: What is wrong.
    """

    def __init__(self, browser: Browser, base: str, site: Path) -> None:
        self.base, self.site, self.found = base, site, []
        self.context = browser.new_context(viewport={"width": WIDE, "height": 900})
        self.page = self.context.new_page()
        self.where = ""
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.wrong(f"script failed: {error}"))
        self.page.on("request", lambda asked: self._asked(asked.url))
        self.links: dict[str, set[str]] = {}
        self.ids: dict[str, set[str]] = {}

    def wrong(self, what: str) -> None:
        """Note what is wrong on the page that is looked at."""
        self.found.append(f"{self.where}: {what}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.wrong(f"console {kind}: {text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.wrong(f"asks another host: {url}")

    def at(self, name: str) -> Page:
        """Open a page."""
        self.where = name
        self.page.goto(urljoin(self.base, name), wait_until="load")
        return self.page

    def look(self, name: str) -> None:
        """Look at one page."""
        page = self.at(name)
        for source, width, text in page.evaluate(_FIGURES):
            if not width:
                self.wrong(f"figure {source} is not there")
            if not text or text.endswith((".png", ".svg")):
                self.wrong(f"figure {source} has no text for who cannot see it")
        for text, width in page.evaluate(_FORMULAS):
            if not width:
                self.wrong(f"mathematics is not drawn: {text}")
        for text, opens in page.evaluate(_FOLDED):
            if not opens:
                self.wrong(f"does not unfold: {text}")
        address = urljoin(self.base, name)
        self.links[address] = {link for link in page.evaluate(_LINKS) if self.base in link}
        self.ids[address] = set(page.evaluate(_IDS))
        page.set_viewport_size({"width": NARROW, "height": 844})
        if (more := page.evaluate(_WIDER)) > 1:
            self.wrong(f"is {more} px too wide for a screen of {NARROW} px")
        page.set_viewport_size({"width": WIDE, "height": 900})

    def follow(self) -> None:
        """Look whether all links within the site lead somewhere."""
        for address, links in self.links.items():
            self.where = address.removeprefix(self.base)
            for link in sorted(links):
                place, part = urldefrag(link)
                place = place if not place.endswith("/") else f"{place}index.html"
                if not (self.site / place.removeprefix(self.base)).is_file():
                    self.wrong(f"leads nowhere: {link.removeprefix(self.base)}")
                elif part and part not in self.ids.get(place, {part}):
                    self.wrong(f"there is no {part} in {place.removeprefix(self.base)}")

    def search(self) -> None:
        """Search, as a reader would."""
        page = self.at(f"search.html?q={SEARCHED}")
        page.wait_for_function(_SEARCHED, timeout=60_000)
        titles = page.locator("#search-results ul.search li a").all_inner_texts()
        if not any("antennal lobe" in title.lower() for title in titles):
            self.wrong(f"a search for {SEARCHED} finds {titles}")

    def pictures(self, folder: Path, names: list[str]) -> None:
        """Keep pictures of some pages: on a telephone, on a desk, in the dark, and printed."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            for kind, width, scheme in (
                ("narrow", NARROW, "light"),
                ("wide", WIDE, "light"),
                ("dark", WIDE, "dark"),
            ):
                self.page.emulate_media(color_scheme=scheme)
                self.page.set_viewport_size({"width": width, "height": 900})
                self.at(name)
                place = folder / f"{name.removesuffix('.html').replace('/', '_')}-{kind}.png"
                self.page.screenshot(path=place, full_page=True)
            self.page.pdf(path=folder / f"{Path(name).stem}.pdf")


def main() -> None:
    """Look at a site, and end with what is wrong."""
    site = Path(sys.argv[1])
    names = sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    names = [name for name in names if not name.startswith(("_static", "genindex", "py-modindex"))]
    with sync_playwright() as play, served(site) as base:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        look = Look(browser, base, site)
        for name in names:
            if name not in ("search.html", "index.html"):  # no page, and one that leads to another
                look.look(name)
        look.follow()
        look.search()
        if len(sys.argv) > 2:
            look.pictures(Path(sys.argv[2]), [n for n in names if any(s in n for s in SHOWN)])
        browser.close()
    print(*look.found, sep="\n")
    print(f"{len(look.links)} pages, {len(look.found)} faults")
    sys.exit(1 if look.found else 0)


if __name__ == "__main__":
    main()
