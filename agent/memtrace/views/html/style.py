"""The style sheet: light, dark, phone and print. Refers to nothing outside of the page."""

from __future__ import annotations

_LIGHT = """
  --ink: #1b1f24; --dim: #59626d; --page: #ffffff; --card: #f6f8fa; --edge: #d5dbe1;
  --grid: #8a949e; --halo: #ffffff; --gap: #8a949e;
  --anon: #c8453b; --shmem: #8e63b0; --kernel: #8fbf88; --slab: #3c8d5a; --sock: #b8912c;
  --rest: #9aa3ad; --unwritten: #1f4e8c; --clean: #6cb0e4;
  --live: #1f6fb4; --goal: #d9822b; --golimit: #7a4fa3; --cycle: #59626d;
  --ok: #1a7f37; --info: #0b66c3; --warning: #9a6700; --critical: #c62828; --unknown: #59626d;
"""
_DARK = """
  --ink: #e6e9ed; --dim: #9aa5b1; --page: #12161b; --card: #1b2128; --edge: #343d48;
  --grid: #7d8894; --halo: #12161b; --gap: #7d8894;
  --anon: #e0655a; --shmem: #a981cb; --kernel: #86ad80; --slab: #4fa671; --sock: #cda94a;
  --rest: #77818c; --unwritten: #4778ba; --clean: #4a8fc4;
  --live: #58a6e8; --goal: #f0a04b; --golimit: #b48bdc; --cycle: #9aa5b1;
  --ok: #4cc26a; --info: #62aaf2; --warning: #e0b03c; --critical: #ff6b61; --unknown: #9aa5b1;
"""

SHEET = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ color-scheme: light; {_LIGHT} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 66rem; padding: 1.5rem 1.25rem 3rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }}
h2 {{ font-size: 1.25rem; line-height: 1.3; margin: 0; }}
h3 {{ font-size: .95rem; margin: 1.6rem 0 .4rem; }}
p {{ margin: .35rem 0; }}
a {{ color: var(--info); }}
.dim, figcaption small {{ color: var(--dim); font-weight: normal; }}
.brand {{ font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--dim); }}
section {{ border-top: 1px solid var(--edge); margin-top: 2.2rem; padding-top: 1.4rem; }}
.verdict {{ border-left: 5px solid var(--tone); background: var(--card); margin: .9rem 0;
  padding: .7rem 1rem; border-radius: 0 6px 6px 0; }}
.verdict .claim {{ font-size: 1.05rem; font-weight: 600; margin: 0 0 .3rem; }}
.ok {{ --tone: var(--ok); }} .info {{ --tone: var(--info); }}
.warning {{ --tone: var(--warning); }} .critical {{ --tone: var(--critical); }}
.unknown {{ --tone: var(--unknown); }}
.badge {{ display: inline-block; border: 1px solid var(--tone); color: var(--tone);
  border-radius: 1rem; padding: 0 .55rem; font-size: .8rem; white-space: nowrap; }}
ul.plain {{ list-style: none; margin: .3rem 0; padding: 0; }}
ul {{ margin: .3rem 0; padding-left: 1.2rem; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .6rem;
  margin: .9rem 0; padding: 0; list-style: none; }}
.tiles li {{ background: var(--card); border-radius: 6px; padding: .5rem .75rem; }}
.tiles b {{ display: block; font-size: 1.2rem; font-variant-numeric: tabular-nums; }}
.tiles span {{ color: var(--dim); font-size: .8rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: .88rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid var(--edge); overflow-wrap: break-word; }}
th {{ font-weight: 600; color: var(--dim); font-size: .8rem; white-space: nowrap; }}
.cards td:first-child {{ min-width: 5.5rem; }}
.n {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.n:first-child {{ width: 5rem; }}
.picture {{ width: 9rem; min-width: 9rem; }} td.picture {{ vertical-align: middle; }}
.pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 0 2rem; }}
.pair .n:first-child {{ width: 5rem; }}
.picture {{ width: 6rem; min-width: 6rem; }}
pre {{ margin: .25rem 0 .4rem; padding: .4rem .6rem; background: var(--page); border-radius: 4px;
  border: 1px solid var(--edge); white-space: pre-wrap; }}
.path, .any {{ overflow-wrap: anywhere; }}
code, pre, .path {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace;
  font-size: .92em; }}
figure {{ margin: 1.1rem 0 .4rem; }}
figcaption {{ font-weight: 600; font-size: .95rem; margin-bottom: .3rem; }}
svg {{ display: block; overflow: hidden; }}
svg.wide {{ width: 100%; overflow: visible; }}
svg text {{ font: 11.5px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  fill: var(--dim); }}
svg text.on {{ paint-order: stroke; stroke: var(--halo); stroke-width: 3.5px;
  stroke-linejoin: round; fill: var(--ink); }}
.grid {{ stroke: var(--grid); stroke-width: 1; opacity: .3; }}
.axis {{ stroke: var(--grid); stroke-width: 1; }}
.limit {{ stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 7 4; }}
.gomemlimit {{ stroke: var(--golimit); stroke-width: 1.8; stroke-dasharray: 2 3; fill: none;
  vector-effect: non-scaling-stroke; }}
.event {{ stroke: var(--critical); stroke-width: 1.4; stroke-dasharray: 3 2; }}
.mark {{ fill: var(--critical); }} svg text.number {{ fill: var(--page); font-weight: 700; }}
.gap {{ fill: var(--gap); opacity: .22; }}
.hit {{ fill: transparent; }} .hit:hover {{ fill: var(--ink); opacity: .12; }}
.f-anon {{ fill: var(--anon); }} .f-shmem {{ fill: var(--shmem); }}
.f-kernel {{ fill: var(--kernel); }} .f-slab {{ fill: var(--slab); }}
.f-sock {{ fill: var(--sock); }} .f-rest {{ fill: var(--rest); }}
.f-unwritten {{ fill: var(--unwritten); }} .f-clean {{ fill: var(--clean); }}
.f-live {{ fill: var(--live); }} .f-goal {{ fill: var(--goal); }}
.f-golimit {{ fill: var(--golimit); }} .f-cycle {{ fill: var(--cycle); }}
.f-ink {{ fill: var(--ink); }}
.s-live {{ fill: var(--live); opacity: .25; }}
.l-live, .l-goal, .l-usage {{ fill: none; stroke: var(--live); stroke-width: 1.8;
  vector-effect: non-scaling-stroke; stroke-linejoin: round; }}
.l-goal {{ stroke: var(--goal); stroke-width: 1.6; }}
.a-usage {{ fill: var(--live); opacity: .18; }}
.track {{ fill: var(--edge); opacity: .55; }}
.legend {{ display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; margin: .4rem 0 0; padding: 0;
  list-style: none; font-size: .82rem; }}
.legend svg {{ display: inline-block; vertical-align: -1px; margin-right: .35rem; }}
details {{ margin: .5rem 0; font-size: .88rem; }} summary {{ cursor: pointer; color: var(--dim); }}
footer {{ border-top: 1px solid var(--edge); margin-top: 2.5rem; padding-top: 1rem;
  color: var(--dim); font-size: .85rem; }}
@media (max-width: 40rem) {{
  body {{ padding: 1rem .9rem 2rem; font-size: 14.5px; }}
  h1 {{ font-size: 1.35rem; }}
  .pair {{ display: block; }}
  table.cards, .cards tbody, .cards tr {{ display: block; }}
  .cards thead {{ display: none; }}
  .cards tr {{ padding: .5rem 0; border-bottom: 1px solid var(--edge); }}
  .cards td {{ display: flex; gap: .6rem; border: 0; padding: .1rem 0; text-align: left;
    white-space: normal; }}
  .cards td::before {{ content: attr(data-label); color: var(--dim); flex: 0 0 5.5rem;
    font-size: .8rem; }}
  .cards td:empty {{ display: none; }}
  .cards td.n:first-child {{ width: 5rem; }}
.picture {{ width: auto; align-items: center; }} td.picture svg {{ flex: 1; }}
  .scroll {{ overflow-x: auto; }}
}}
@media print {{
  @page {{ margin: 14mm; }}
  html {{ font-size: 12px; }}
  body {{ max-width: none; padding: 0; font-size: .95rem; }}
  section {{ margin-top: 1.2rem; padding-top: .8rem; }}
  figure, .tiles, tr {{ break-inside: avoid; }}
  h2, h3, figcaption {{ break-after: avoid; }}
  a {{ color: inherit; text-decoration: none; }}
  .hit {{ display: none; }}
}}
"""
