"""The template of `dvc plots show`. DVC's own page loads Vega from a CDN; this one contains it and opens offline."""

from __future__ import annotations

from pathlib import Path

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{{refresh_tag}}
<title>tintype: curves and samples</title>
<script>{vega}</script>
<style>
  body {{ font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }}
  img {{ max-width: 100%; }}
  table {{ border-spacing: 1rem; }}
</style>
</head>
<body>
<h1>tintype</h1>
{{plot_divs}}
</body>
</html>
"""


def write_page(out: Path) -> None:
    """Write DVC's HTML template (https://dvc.org/doc/command-reference/plots#html-template) with Vega-Embed inside.

    The JavaScript is the bundle of vl-convert, so nothing is fetched, here or in the browser.
    """
    import vl_convert

    # In a classic script "</script>" inside a JavaScript string would end the element.
    vega = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script>", "<\\/script>")
    out.write_text(PAGE.format(vega=vega), encoding="utf-8")
