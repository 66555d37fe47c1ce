// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord

extension HTML {
    /// The head of every page.
    static func head(title: String) -> HTML {
        HTML(
            "head", [],
            [
                HTML("meta", [.attribute("charset", "utf-8")]),
                HTML("meta", [.attribute("http-equiv", "Content-Security-Policy"), .attribute("content", policy)]),
                HTML(
                    "meta",
                    [.attribute("name", "viewport"), .attribute("content", "width=device-width, initial-scale=1")]),
                HTML("meta", [.attribute("name", "color-scheme"), .attribute("content", "light dark")]),
                HTML("meta", [.attribute("name", "referrer"), .attribute("content", "no-referrer")]),
                HTML("title", [], [HTML(title)]), .lineEnd,
                .style(StyleSheet.source),
            ])
    }

    /// Nothing is loaded and nothing is sent; the one style sheet and the one script are those of these sources.
    private static var policy: String {
        func source(_ content: String) -> String {
            ContentDigest.sha256(Data(content.utf8)).map { "'sha256-\($0.base64EncodedString())'" } ?? "'none'"
        }
        return "default-src 'none'; style-src \(source("\(StyleSheet.source)")); "
            + "script-src \(source(HTML.scriptContent(PageScript.source))); base-uri 'none'; form-action 'none'"
    }
}
