// SPDX-License-Identifier: Apache-2.0

internal import FoundationXML

/// An element with attributes and text; every string that goes in is checked.
func element(
    _ name: String,
    _ attributes: KeyValuePairs<String, String> = [:],
    text: String
) throws(DomainXMLError) -> XMLElement {
    try refuseControlCharacters(in: text, place: "<\(name)>")
    let element = try element(name, attributes)
    element.stringValue = text
    return element
}

/// An element with attributes and children; every string that goes in is checked.
func element(
    _ name: String,
    _ attributes: KeyValuePairs<String, String> = [:],
    children: [XMLElement] = []
) throws(DomainXMLError) -> XMLElement {
    let element = XMLElement(name: name)
    for (key, value) in attributes {
        try refuseControlCharacters(in: value, place: "\(key) of <\(name)>")
        let attribute = XMLNode(kind: .attribute)
        attribute.name = key
        attribute.stringValue = value
        element.addAttribute(attribute)
    }
    for child in children { element.addChild(child) }
    return element
}

/// Throws if the text holds a control character or one that XML forbids.
func refuseControlCharacters(in text: String, place: String) throws(DomainXMLError) {
    for scalar in text.unicodeScalars
    where scalar.properties.generalCategory == .control || scalar == "\u{FFFE}" || scalar == "\u{FFFF}" {
        throw .forbiddenCharacter(place: place, codePoint: scalar.value)
    }
}
