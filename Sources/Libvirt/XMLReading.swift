// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import FoundationXML

/// An element of XML that was read.
///
/// Made from the parser's events: FoundationXML's own tree crashes on texts that are not XML, an empty one for example.
final class ParsedElement {
    let name: String
    let attributes: [String: String]
    fileprivate(set) var text = ""
    private(set) var children: [ParsedElement] = []

    fileprivate init(name: String, attributes: [String: String]) {
        self.name = name
        self.attributes = attributes
    }

    fileprivate func add(_ child: ParsedElement) { children.append(child) }

    /// The first child of that name.
    func child(_ name: String) -> ParsedElement? {
        children.first { $0.name == name }
    }

    /// The root of a document; nil if the text is not well-formed XML, or deeper than 32 elements.
    static func root(of xml: String) -> ParsedElement? {
        guard isParsable(Array(xml.utf8)) else { return nil }
        let builder = Builder()
        let parser = XMLParser(data: Data(xml.utf8))
        parser.delegate = builder
        // A text that ends too early parses well, as far as the parser can see.
        return parser.parse() && parser.parserError == nil && builder.isComplete ? builder.root : nil
    }

    /// Whether FoundationXML's parser can be given a text: it crashes over a processing instruction that is a name alone,
    /// `<?name?>`. A document type could make one of its entities; libvirt writes none.
    private static func isParsable(_ xml: [UInt8]) -> Bool {
        guard xml.firstRange(of: Array("<!DOCTYPE".utf8)) == nil else { return false }
        let (opening, closing, blanks) = (Array("<?".utf8), Array("?>".utf8), Array(" \t\r\n".utf8))
        var rest = xml[...]
        while let start = rest.firstRange(of: opening)?.upperBound {
            guard let end = rest[start...].firstRange(of: closing)?.lowerBound,
                rest[start..<end].contains(where: blanks.contains)
            else { return false }
            rest = rest[end...]
        }
        return true
    }
}

private final class Builder: NSObject, XMLParserDelegate {
    private(set) var root: ParsedElement?
    private var open: [ParsedElement] = []
    private var isTooDeep = false

    /// Whether every element was closed and none left out.
    var isComplete: Bool { open.isEmpty && !isTooDeep }

    func parser(
        _ parser: XMLParser,
        didStartElement elementName: String,
        namespaceURI: String?,
        qualifiedName qName: String?,
        attributes attributeDict: [String: String]
    ) {
        guard open.count < 32 else {
            isTooDeep = true
            parser.abortParsing()
            return
        }
        let element = ParsedElement(name: elementName, attributes: attributeDict)
        if let parent = open.last { parent.add(element) } else { root = element }
        open.append(element)
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        open.last?.text += string
    }

    func parser(
        _ parser: XMLParser,
        didEndElement elementName: String,
        namespaceURI: String?,
        qualifiedName qName: String?
    ) {
        _ = open.popLast()
    }
}
