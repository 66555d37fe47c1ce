// SPDX-License-Identifier: Apache-2.0

/// A piece of a page.
///
/// There is one way in for a text that was not written in these sources, ``init(_:)``, and it escapes: names of elements and
/// attributes are static strings, attributes' values are escaped as texts are. So nothing that a guest, a plan or a
/// record says can be anything but text. The page is well-formed XML as well.
struct HTML: ExpressibleByStringInterpolation, Sendable {
    /// As it stands in the page.
    private(set) var source: String

    /// Nothing.
    init() { source = "" }

    private init(source: String) { self.source = source }

    /// A text from anyone.
    init(_ text: some StringProtocol) {
        source = ""
        source.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars { Self.append(scalar, to: &source) }
    }

    /// A text of these sources; it is escaped as all are.
    init(stringLiteral value: String) { self.init(value) }

    /// An element.
    init(_ name: StaticString, _ attributes: [HTMLAttribute] = [], _ content: [HTML] = []) {
        source = "<\(name)"
        for attribute in attributes { source += attribute.html.source }
        if content.isEmpty, Self.voidNames.contains("\(name)") {
            source += "/>"
        } else {
            source += ">"
            for piece in content { source += piece.source }
            source += "</\(name)>"
        }
    }

    /// Pieces, one behind the other.
    init(_ pieces: [HTML]) {
        source = pieces.reduce(into: "") { $0 += $1.source }
    }

    /// Adds a piece.
    static func += (left: inout HTML, right: HTML) { left.source += right.source }

    /// Whether there is nothing in it.
    var isEmpty: Bool { source.isEmpty }

    // MARK: - What is not text

    /// What stands in front of every page.
    static let documentType = HTML(source: "<!DOCTYPE html>\n")

    /// A line's end between elements, so that a page can be read as text.
    static let lineEnd = HTML(source: "\n")

    /// A style sheet of these sources.
    static func style(_ sheet: StaticString) -> HTML { HTML(source: "<style>\(sheet)</style>") }

    /// A script of these sources. What stands around it makes it a text to a reader of XML.
    static func script(_ script: StaticString) -> HTML { HTML(source: "<script>\(scriptContent(script))</script>") }

    /// What a browser runs of a script: its digest is that of all that stands in the element.
    static func scriptContent(_ script: StaticString) -> String { "//<![CDATA[\n\(script)\n//]]>" }

    /// Data for a script: JSON, in which what could end the element, or begin one, is written by its number.
    static func data(_ json: String, id: StaticString) -> HTML {
        var content = ""
        for scalar in json.unicodeScalars {
            if "<>&\u{2028}\u{2029}".unicodeScalars.contains(scalar) || isRefused(scalar) {
                let digits = String(scalar.value, radix: 16)
                // JSON writes what is beyond 16 bits as two numbers; none of these is.
                content +=
                    scalar.value > 0xffff
                    ? "?" : "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                content.unicodeScalars.append(scalar)
            }
        }
        return HTML(source: "<script type=\"application/json\" id=\"\(id)\">\(content)</script>")
    }

    // MARK: - Escaping

    private static let voidNames: Set<String> = ["meta", "input", "br", "hr", "rect", "line", "path", "circle", "use"]

    private static func append(_ scalar: Unicode.Scalar, to text: inout String) {
        switch scalar {
        case "&": text += "&amp;"
        case "<": text += "&lt;"
        case ">": text += "&gt;"
        case "\"": text += "&quot;"
        case "'": text += "&#39;"
        default: text.unicodeScalars.append(isRefused(scalar) ? "\u{fffd}" : scalar)
        }
    }

    /// Characters that no page shows as they are: control characters, what XML does not have, and what turns the direction
    /// of a text around, so that it reads as another one.
    private static func isRefused(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0a: false
        case 0x00...0x1f, 0x7f...0x9f, 0x200e, 0x200f, 0x061c, 0x202a...0x202e, 0x2066...0x2069, 0xfffe, 0xffff: true
        default: false
        }
    }
}

/// An attribute of an element.
struct HTMLAttribute: Sendable {
    let html: HTML

    private init(_ html: HTML) { self.html = html }

    /// A name and its value, which may be anyone's; links go through ``link(to:)``.
    static func attribute(_ name: StaticString, _ value: some StringProtocol) -> HTMLAttribute {
        HTMLAttribute(HTML.attribute(name, value))
    }

    /// A number.
    static func attribute(_ name: StaticString, _ value: Int) -> HTMLAttribute { attribute(name, String(value)) }

    /// A length in an image, to a hundredth.
    static func attribute(_ name: StaticString, _ value: Double) -> HTMLAttribute {
        attribute(name, HTML.number(value))
    }

    static func id(_ value: some StringProtocol) -> HTMLAttribute { attribute("id", value) }
    static func classes(_ value: StaticString) -> HTMLAttribute { attribute("class", "\(value)") }

    /// A link to a place in this page.
    static func link(to id: some StringProtocol) -> HTMLAttribute { attribute("href", "#\(id)") }

    /// A link to a file below this page's folder, by the names on the way. A page has no other links out of it.
    static func link(toFile path: [String]) -> HTMLAttribute {
        let names = path.map { name in
            name.utf8.map { byte -> String in
                let character = Character(Unicode.Scalar(byte))
                let isPlain =
                    character.isASCII && (character.isLetter || character.isNumber || "-_".contains(character))
                let digits = String(byte, radix: 16, uppercase: true)
                // A dot at a name's beginning could lead up.
                return isPlain ? String(character) : "%" + (digits.count < 2 ? "0" : "") + digits
            }.joined()
        }
        return attribute("href", names.joined(separator: "/"))
    }
}

extension HTML {
    fileprivate static func attribute(_ name: StaticString, _ value: some StringProtocol) -> HTML {
        HTML(source: " \(name)=\"\(HTML(value).source)\"")
    }

    /// A length as a browser reads it, in any locale.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "0" }
        let hundredths = Int((min(max(value, -1e9), 1e9) * 100).rounded())
        guard hundredths % 100 != 0 else { return String(hundredths / 100) }
        let digits = String(abs(hundredths) % 100)
        return (hundredths < 0 ? "-" : "") + "\(abs(hundredths) / 100)." + (digits.count < 2 ? "0" : "") + digits
    }
}
