// SPDX-License-Identifier: Apache-2.0

import RunRecord

/// A report as one page that needs nothing but itself.
struct HTMLReport {
    let document: String

    init(_ run: RecordedRun) {
        let page = HTML(
            "html", [.attribute("lang", "en")],
            [
                HTML(
                    "head", [],
                    [HTML("meta", [.attribute("charset", "utf-8")]), HTML("title", [], ["\(run.results.run)"])]),
                HTML("body", [], [HTML("pre", [], [HTML(TextReport(run).document)])]),
            ])
        document = HTML([.documentType, page, .lineEnd]).source
    }
}
