// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// How a column of 64-bit words stands in JSON: an array of texts, each of which is one word or words in a row.
///
///     0xc000000006c045e8             one word
///     0xc000000006c045e8 -0x18 *64   64 words, each 0x18 less than the one before
///     0x1000 *256                    256 times the same word
///
/// What a kernel's allocators hand out in a row is one text so, and what they scatter costs its digits and no more. Every way
/// to cut a column into runs is read, each word alone among them.
public enum WordColumn {
    /// The most words of a column: the windows that 1 TiB of memory has in the densest memory map, which is more than any guest
    /// of the harness. A short text can ask for any number.
    public static let limit = 1 << 22

    /// Words as texts: what three words or more begin is made a run, and what two equal ones do.
    public static func texts(of words: [UInt64]) -> [String] {
        var texts: [String] = []
        var index = 0
        while index < words.count {
            let first = words[index]
            var end = index + 1
            guard end < words.count else {
                texts.append(first.hexadecimal)
                break
            }
            let (isAscending, step) = difference(first, words[end])
            while end < words.count, difference(words[end - 1], words[end]) == (isAscending, step) { end += 1 }
            let count = end - index
            if step == 0 {
                texts.append("\(first.hexadecimal) *\(count)")
            } else if count > 2 {
                texts.append("\(first.hexadecimal) \(isAscending ? "+" : "-")\(step.hexadecimal) *\(count)")
            } else {
                texts.append(first.hexadecimal)
                end = index + 1
            }
            index = end
        }
        return texts
    }

    private static func difference(_ first: UInt64, _ second: UInt64) -> (isAscending: Bool, step: UInt64) {
        second >= first ? (true, second - first) : (false, first - second)
    }

    /// The words of texts.
    ///
    /// - Throws: ``ColumnProblem`` for a text that is none, and for more words than there may be.
    static func words(
        of texts: [String], within limit: ColumnLimit = .ofColumn
    ) throws(ColumnProblem) -> [UInt64] {
        var words: [UInt64] = []
        words.reserveCapacity(texts.count)
        for (index, text) in texts.enumerated() {
            func problem(_ reason: String) -> ColumnProblem { ColumnProblem(index: index, text: text, reason: reason) }
            guard let run = Run(text) else {
                throw problem("is no word '0x…', no run '0x… +0x… *N' or '0x… -0x… *N', and no '0x… *N'")
            }
            guard run.count <= UInt64(limit.elementCount - words.count) else { throw problem(limit.reason) }
            guard run.count > 1 else {
                words.append(run.first)
                continue
            }
            let reach = run.step.multipliedReportingOverflow(by: run.count - 1)
            guard !reach.overflow, reach.partialValue <= (run.isAscending ? .max - run.first : run.first) else {
                throw problem("goes beyond what 64 bits hold")
            }
            // Not added once too often: the last word may be the largest that there is.
            let step = run.isAscending ? run.step : 0 &- run.step
            var word = run.first
            for _ in 0..<run.count {
                words.append(word)
                word &+= step
            }
        }
        return words
    }

    /// What one text says.
    private struct Run {
        var first: UInt64
        var isAscending = true
        var step: UInt64 = 0
        var count: UInt64 = 1

        /// Nil for a text that is none.
        init?(_ text: String) {
            var bytes = TextBytes(text)
            guard let first = bytes.word() else { return nil }
            self.first = first
            if bytes.isAtEnd { return }
            guard bytes.take(UInt8(ascii: " ")) else { return nil }
            let isDescending = bytes.take(UInt8(ascii: "-"))
            if isDescending || bytes.take(UInt8(ascii: "+")) {
                guard let step = bytes.word(), bytes.take(UInt8(ascii: " ")) else { return nil }
                (isAscending, self.step) = (!isDescending, step)
            }
            guard bytes.take(UInt8(ascii: "*")), let count = bytes.count(), bytes.isAtEnd else { return nil }
            self.count = count
        }
    }
}

/// What is wrong with a column in JSON.
struct ColumnProblem: Error, Equatable {
    /// The text's place in its array.
    let index: Int
    /// The text.
    let text: String
    /// What is wrong with it, after its verb.
    let reason: String

    /// Of more than ``WordColumn/limit``.
    static let isTooLong = "makes the column longer than the \(WordColumn.limit) elements that it can have"

    /// What a person reads.
    var description: String { "'\(text.prefix(60))' \(reason)" }
}

/// A text's UTF-8, read from its beginning.
struct TextBytes {
    private var rest: String.UTF8View.Iterator
    private var next: UInt8?

    /// Begins to read.
    init(_ text: String) {
        rest = text.utf8.makeIterator()
        next = rest.next()
    }

    /// Whether nothing follows.
    var isAtEnd: Bool { next == nil }

    /// Passes over a byte, if it is the next one.
    mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        next = rest.next()
        return true
    }

    /// `0x` and 1 to 16 hexadecimal digits; nil when something else is next, or digits are left over.
    mutating func word() -> UInt64? {
        guard take(UInt8(ascii: "0")), take(UInt8(ascii: "x")) else { return nil }
        var (word, digitCount): (UInt64, Int) = (0, 0)
        while let byte = next {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return digitCount > 0 ? word : nil
            }
            digitCount += 1
            guard digitCount <= 16 else { return nil }
            word = word << 4 | UInt64(digit)
            next = rest.next()
        }
        return digitCount > 0 ? word : nil
    }

    /// A decimal number from 1 on without leading zeros; the largest there is for a larger one, nil when something else is
    /// next.
    mutating func count() -> UInt64? {
        guard let first = next, first != UInt8(ascii: "0") else { return nil }
        var (count, hasDigits): (UInt64, Bool) = (0, false)
        while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
            let (tens, overflows) = count.multipliedReportingOverflow(by: 10)
            let (sum, overflowsToo) = tens.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            count = overflows || overflowsToo ? .max : sum
            hasDigits = true
            next = rest.next()
        }
        return hasDigits ? count : nil
    }
}
