// SPDX-License-Identifier: Apache-2.0

/// The page's looks, in light and dark, at any width, and on paper.
enum StyleSheet {
    static let source: StaticString = """
        :root{color-scheme:light dark;--bg:#f7f7f5;--panel:#fff;--text:#1b1f24;--muted:#5b6470;--line:#d8dce1;--link:#1a5aa3;
        --ok:#17673a;--bad:#ad1f17;--warn:#825200;--okbg:#e2f3e8;--badbg:#fbe6e4;--warnbg:#fbf0d9;--code:#eef0f3;
        --mem:#dfe4ea;--block:#2c6cb0;--new:#c4540f;--alt:#7446b3;--hole:#c4161c}
        @media screen and (prefers-color-scheme:dark){:root{--bg:#14171b;--panel:#1c2026;--text:#e4e7eb;--muted:#9da7b3;--line:#343b44;
        --link:#7db4f2;--ok:#7bd39c;--bad:#ff938a;--warn:#f0c069;--okbg:#173324;--badbg:#3f1d1b;--warnbg:#3a2d12;--code:#272d35;
        --mem:#343c46;--block:#5e9fe3;--new:#f08a45;--alt:#b08ce6;--hole:#ff6b62}}
        *{box-sizing:border-box}
        html{scroll-padding-top:5.5rem;-webkit-text-size-adjust:100%}
        body{margin:0;background:var(--bg);color:var(--text);font:1rem/1.55 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
        main,footer,.bar{max-width:76rem;margin:0 auto;padding:0 1.25rem}
        h1{font-size:1.65rem;line-height:1.3;margin:1.2rem 0 .4rem;display:flex;flex-wrap:wrap;gap:.3rem .7rem;align-items:center}
        h2{font-size:1.3rem;line-height:1.3;margin:0 0 .8rem}
        h3{font-size:1.05rem;margin:1.4rem 0 .5rem}
        h4{font-size:.95rem;margin:1.2rem 0 .5rem;color:var(--muted)}
        p,ul,ol{margin:.4rem 0}
        ul,ol{padding-left:1.3rem}
        a{color:var(--link);text-underline-offset:.15em}
        :focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
        main:focus{outline:none}
        code,pre,.a{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.875em}
        code{overflow-wrap:anywhere}
        pre{background:var(--code);padding:.7rem .9rem;border-radius:6px;overflow:auto;max-height:32rem;line-height:1.45;margin:.4rem 0}
        .skip{position:absolute;left:-200vw;top:0;background:var(--panel);padding:.6rem 1rem;z-index:9}
        .skip:focus{left:.5rem}
        .bar{position:sticky;top:0;z-index:5;background:var(--bg);border-bottom:1px solid var(--line);padding-top:.5rem;padding-bottom:.5rem;
        display:flex;flex-wrap:wrap;gap:.4rem 1.2rem;align-items:center;justify-content:space-between}
        .bar nav{min-width:0}
        .bar nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem .9rem;margin:0;padding:0;font-size:.92rem}
        #search{display:flex;gap:.5rem;align-items:center;flex:0 1 24rem}
        #search[hidden]{display:none}
        #search label{font-size:.85rem;color:var(--muted);white-space:nowrap}
        input,button{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--muted);border-radius:6px;padding:.3rem .6rem}
        input{width:100%;min-width:8rem}
        button{cursor:pointer}
        button:disabled{opacity:.45;cursor:default}
        #found{flex:1 0 100%;max-height:40vh;overflow:auto;background:var(--panel);border:1px solid var(--line);border-radius:8px;
        padding:.5rem .9rem;font-size:.92rem}
        #found[hidden]{display:none}
        section,.verdict{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:1.1rem 1.3rem;margin:1.1rem 0}
        .verdict h1{margin-top:.1rem}
        .facts,.muted,.note,figcaption,caption{color:var(--muted)}
        .facts{font-size:.92rem}
        .note{display:block;font-size:.85em;overflow-wrap:anywhere}
        .notice{border-left:4px solid var(--bad);background:var(--badbg);padding:.5rem .9rem;border-radius:4px;margin:.7rem 0;overflow-wrap:anywhere}
        .badge{display:inline-block;border-radius:999px;padding:.05rem .65rem;font-size:.8em;font-weight:600;white-space:nowrap}
        .badge.ok{color:var(--ok);background:var(--okbg)}
        .badge.bad{color:var(--bad);background:var(--badbg)}
        .badge.warn{color:var(--warn);background:var(--warnbg)}
        .finding{border:1px solid var(--line);border-left:5px solid var(--bad);border-radius:6px;padding:.2rem 1rem .7rem;margin:.9rem 0}
        .finding.expected{border-left-color:var(--muted)}
        .finding h3{margin:.7rem 0 .1rem;overflow-wrap:anywhere}
        .said{font-weight:500;overflow-wrap:anywhere}
        dl{margin:.5rem 0}
        dl>div{display:grid;grid-template-columns:minmax(7rem,11rem) 1fr;gap:0 1rem;padding:.35rem 0;border-top:1px solid var(--line)}
        dl>div:first-child{border-top:0}
        dt{color:var(--muted);font-size:.92rem}
        dd{margin:0;min-width:0;overflow-wrap:anywhere}
        dd p:first-child,dd ul:first-child{margin-top:0}
        dd>p,dd>ul{margin-bottom:0}
        .scroll{overflow-x:auto;margin:.6rem 0;max-width:100%}
        table{border-collapse:collapse;font-size:.92rem}
        caption{text-align:left;padding:0 0 .4rem;font-size:.88rem}
        th,td{padding:.38rem .9rem .38rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
        thead th{border-bottom:2px solid var(--line);font-size:.85rem;color:var(--muted);white-space:nowrap}
        tbody th{font-weight:500}
        .n{text-align:right;padding-left:.9rem;font-variant-numeric:tabular-nums;white-space:nowrap}
        td code,th code{white-space:nowrap;overflow-wrap:normal}
        tr:target,figure:target,article:target,pre:target{outline:3px solid var(--link);outline-offset:2px}
        .mark{white-space:nowrap;font-weight:600;font-size:.88rem}
        .mark.ok{color:var(--ok)}.mark.bad{color:var(--bad)}.mark.warn{color:var(--warn)}.mark.none{color:var(--muted);font-weight:400}
        .count{display:block;color:var(--muted);font-size:.85em;font-variant-numeric:tabular-nums}
        td .note{min-width:12rem}
        .wide{display:inline-block;min-width:7rem}
        details{border-top:1px solid var(--line);padding:.15rem 0}
        summary{cursor:pointer;padding:.35rem 0;color:var(--link)}
        figure{margin:.7rem 0}
        figcaption{font-size:.9rem;margin-bottom:.15rem}
        .piece figcaption strong{color:var(--text)}
        svg{display:block;max-width:100%;overflow:visible}
        .strip rect.mem{fill:var(--mem)}.strip rect.block{fill:var(--block)}.strip rect.new{fill:var(--new)}
        .strip rect.alt{fill:var(--alt)}.strip rect.hole{fill:var(--hole)}
        .legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.3rem;font-size:.88rem;color:var(--muted)}
        .legend li{display:flex;align-items:center;gap:.5rem}
        .sample{display:inline-block;width:1.2rem}
        .chart figcaption{margin-top:.4rem}
        .chart text{font-size:12px;fill:var(--muted);font-family:inherit}
        .chart text.mark{fill:var(--text);font-weight:600}
        .chart text.fault{fill:var(--bad)}
        .chart line.grid{stroke:var(--line)}
        .chart line.mark{stroke:var(--muted);stroke-dasharray:3 3}
        .chart line.fault{stroke:var(--bad);stroke-dasharray:none}
        .chart path.count{fill:none;stroke:var(--block);stroke-width:2.2px;vector-effect:non-scaling-stroke}
        .chart circle.dot{fill:var(--panel);stroke:var(--block);stroke-width:2.5px}
        .pager{display:flex;gap:.6rem}
        footer{color:var(--muted);font-size:.88rem;padding-bottom:2rem}
        @media (max-width:40rem){
        main,footer,.bar{padding-left:.7rem;padding-right:.7rem}
        section,.verdict{padding:.8rem .8rem;border-radius:8px}
        h1{font-size:1.3rem}h2{font-size:1.15rem}
        .bar nav ul{flex-wrap:nowrap;overflow-x:auto;scrollbar-width:none}
        #search{flex:1 0 100%}
        #search label{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
        dl>div{grid-template-columns:1fr}
        th,td{padding:.35rem .7rem .35rem 0}
        .finding{padding:.1rem .7rem .6rem}
        pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.78em}
        }
        @media print{
        :root{color-scheme:light;--bg:#fff;--panel:#fff;--text:#000;--muted:#444;--line:#bbb;--link:#000}
        .bar,.skip,.pager{display:none}
        section,.verdict{border:0;padding:0;margin:1rem 0}
        article,figure,tr{break-inside:avoid}
        h2,h3{break-after:avoid}
        pre,.scroll{max-height:none;overflow:visible}
        pre{white-space:pre-wrap;overflow-wrap:anywhere}
        table{font-size:.8rem}
        th,td{padding-right:.6rem}
        .n{padding-left:.3rem}
        thead th,thead th.n{white-space:normal}
        rect,.badge{print-color-adjust:exact;-webkit-print-color-adjust:exact}
        }
        """
}
