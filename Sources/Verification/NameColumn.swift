// SPDX-License-Identifier: Apache-2.0

/// How a column of names stands in JSON: an array of texts, each of which is a name, or a name and how often it comes in a row
/// (`seeded *4096`), as ``WordColumn`` has it.
///
/// A name may be any text: one that ends like such a number itself is written with ` *1` behind it.
enum NameColumn {
    /// Names as texts.
    static func texts(of names: [String]) -> [String] {
        var texts: [String] = []
        var index = 0
        while index < names.count {
            let name = names[index]
            var end = index + 1
            while end < names.count, names[end] == name { end += 1 }
            let count = end - index
            texts.append(count > 1 || split(name).count != nil ? "\(name) *\(count)" : name)
            index = end
        }
        return texts
    }

    /// The names of texts.
    ///
    /// - Throws: ``ColumnProblem`` for more names than there may be.
    static func names(
        of texts: [String], within limit: ColumnLimit = .ofColumn
    ) throws(ColumnProblem) -> [String] {
        var names: [String] = []
        names.reserveCapacity(texts.count)
        for (index, text) in texts.enumerated() {
            let (name, count) = split(text)
            guard count ?? 1 <= UInt64(limit.elementCount - names.count) else {
                throw ColumnProblem(index: index, text: text, reason: limit.reason)
            }
            names.append(contentsOf: repeatElement(name, count: Int(count ?? 1)))
        }
        return names
    }

    /// The name, and the number behind its last ` *`; nil when there is none.
    private static func split(_ text: String) -> (name: String, count: UInt64?) {
        let bytes = text.utf8
        guard let star = bytes.lastIndex(of: UInt8(ascii: "*")), star > bytes.startIndex,
            bytes[bytes.index(before: star)] == UInt8(ascii: " ")
        else { return (text, nil) }
        var number = TextBytes(String(text[bytes.index(after: star)...]))
        guard let count = number.count(), number.isAtEnd else { return (text, nil) }
        return (String(text[..<bytes.index(before: star)]), count)
    }
}
