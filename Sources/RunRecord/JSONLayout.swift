// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Lays JSON out for people and `less`: a line for each member of an object and for each element of an array, as Foundation
/// does it, but an array of numbers and texts in one line. A column of many words is a line so, and not a line a word.
enum JSONLayout {
    /// Lays out JSON that has no white space outside of its texts.
    static func laidOut(_ json: Data) -> Data {
        let json = [UInt8](json)
        var output: [UInt8] = []
        output.reserveCapacity(json.count + json.count / 4)
        // The open brackets, each with whether what it holds stands on lines of its own.
        var isOnLines: [Bool] = []
        var isInText = false
        var isEscaped = false
        func breakLine() {
            output.append(UInt8(ascii: "\n"))
            output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * isOnLines.count))
        }
        for (index, byte) in json.enumerated() {
            if isInText {
                output.append(byte)
                isInText = isEscaped || byte != UInt8(ascii: "\"")
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
                continue
            }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                output.append(byte)
                let first = index + 1 < json.count ? json[index + 1] : 0
                let isEmpty = first == UInt8(ascii: "}") || first == UInt8(ascii: "]")
                let holdsOthers = first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
                isOnLines.append(!isEmpty && (byte == UInt8(ascii: "{") || holdsOthers))
                if isOnLines.last == true { breakLine() }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if isOnLines.popLast() == true { breakLine() }
                output.append(byte)
            case UInt8(ascii: ","):
                output.append(byte)
                if isOnLines.last == true { breakLine() }
            case UInt8(ascii: ":"):
                output.append(contentsOf: " : ".utf8)
            default:
                output.append(byte)
                isInText = byte == UInt8(ascii: "\"")
            }
        }
        output.append(UInt8(ascii: "\n"))
        return Data(output)
    }
}
