"""The style sheet of pages, light and dark, as a constant: its hash stands in their Content-Security-Policy."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;
--page:light-dark(#f5f6f8,#0f1216);--card:light-dark(#fff,#181c22);--text:light-dark(#1a1d21,#e7eaee);
--quiet:light-dark(#57606a,#a0aab5);--edge:light-dark(#dde1e6,#2c333c);--grid:light-dark(#e8ebef,#272d35);
--line:light-dark(#1d62c9,#74b3ff);--bad:light-dark(#c2410c,#ff9467);--good:light-dark(#0b6b3a,#63d49b);
--warn:light-dark(#855000,#f0bb55);--grave:light-dark(#b3261e,#ff9a91)}
:root:has(#theme-light:checked){color-scheme:light}
:root:has(#theme-dark:checked){color-scheme:dark}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1320px;padding:20px 20px 40px;background:var(--page);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
.skip{position:absolute;left:-999px}.skip:focus{left:20px;top:8px;background:var(--card);padding:6px 12px;z-index:1}
:focus-visible{outline:2px solid var(--line);outline-offset:2px}
header{display:flex;flex-wrap:wrap;gap:6px 20px;align-items:baseline;justify-content:space-between;margin-bottom:14px}
h1{font-size:20px;margin:0;display:flex;flex-wrap:wrap;gap:6px 12px;align-items:baseline}
h2{font-size:16px;margin:28px 0 10px}h3{font-size:15px;margin:0}
p{margin:0}code,.key{font:13px/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.quiet{color:var(--quiet)}.state{font-size:13px;font-weight:600;border:1px solid currentColor;border-radius:99px;
padding:1px 11px}
.serving{color:var(--good)}.degraded,.warning{color:var(--warn)}.deregistered,.critical,.stopped{color:var(--grave)}
.starting,.draining,.info{color:var(--line)}
fieldset{border:0;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:4px 12px;font-size:13px;color:var(--quiet)}
legend{float:left;padding:0;margin-right:12px}label{cursor:pointer;white-space:nowrap}
input{accent-color:var(--line);vertical-align:-2px;margin:0 4px 0 0}
.card{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:14px 16px;margin:0}
.about{margin-bottom:14px;font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:0}
.tiles dt{font-size:13px;color:var(--quiet)}.tiles dd{margin:0}.tiles .big{font-size:24px;line-height:1.3;
font-weight:600;font-variant-numeric:tabular-nums}.tiles .small{font-size:13px;color:var(--quiet)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:12px}
.chart{padding:12px 12px 6px}figcaption{font-size:13px;color:var(--quiet);line-height:1.4;margin-bottom:4px}
figcaption b{color:var(--text);font-size:14px;margin-right:4px}
svg{display:block;width:100%;height:auto;font-size:12px}svg text{fill:var(--quiet)}
.grid{stroke:var(--grid)}.line{fill:none;stroke:var(--line);stroke-width:1.8;stroke-linejoin:round}
.band{fill:var(--line);opacity:.18}.dot{fill:var(--line)}.bar.ok{fill:var(--line);opacity:.85}.bar.bad{fill:var(--bad)}
.hit{fill:transparent}.hit:hover{fill:var(--text);opacity:.09}
.none{color:var(--quiet);padding:24px 0 32px;font-size:14px}
.finding{border-left:4px solid currentColor;margin-bottom:10px}.finding>*{color:var(--text)}
.finding .label{color:inherit;font-size:12px;font-weight:700;letter-spacing:.04em;text-transform:uppercase}
.finding p{font-size:14px;margin-top:4px}
.scroll{overflow-x:auto;padding:4px 0}.scroll:focus-visible{outline-offset:-2px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);font-size:13px;padding:6px 16px;max-width:calc(100vw - 26px)}
th,td{padding:6px 12px;text-align:right;white-space:nowrap;border-top:1px solid var(--grid)}
thead th{border-top:0;color:var(--quiet);font-weight:600;font-size:13px}
th:first-child,td:first-child{padding-left:16px}th:last-child,td:last-child{padding-right:16px}.left{text-align:left}
tbody tr:hover{background:color-mix(in srgb,var(--text) 4%,transparent)}
th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
th[aria-sort] button{color:var(--text)}th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
.wrong{color:var(--bad);font-weight:600}
.pictures{display:flex;flex-wrap:wrap;gap:12px;list-style:none;margin:0;padding:0}.pictures li{width:128px}
.pictures img{display:block;width:128px;height:128px;object-fit:cover;border-radius:8px;border:1px solid var(--edge);
background:var(--grid)}.pictures span{display:block;font-size:12px;line-height:1.35;color:var(--quiet);margin-top:3px}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0;font-size:14px}
.facts dt{color:var(--quiet)}.facts dd{margin:0}
footer{margin-top:28px;font-size:13px;color:var(--quiet)}a{color:var(--line)}
@media(max-width:860px){.tiles{grid-template-columns:1fr 1fr}}
@media(max-width:520px){svg{font-size:17px}svg .spare{display:none}
body{padding:12px 12px 28px}.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:8px}
.tiles .big{font-size:20px}}
@media print{fieldset,.skip{display:none}.card{break-inside:avoid}}
"""
