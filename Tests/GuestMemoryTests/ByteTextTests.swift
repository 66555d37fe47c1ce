// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

struct ByteTextTests {
    @Test(
        arguments: [
            (0, "0", "0x0"), (7, "7", "0x7"), (10, "10", "0xa"), (255, "255", "0xff"), (4096, "4096", "0x1000"),
            (0xc00c_0000_0010_0000, "13838435755003740160", "0xc00c000000100000"),
            (.max, "18446744073709551615", "0xffffffffffffffff"),
        ] as [(UInt64, String, String)]
    )
    func numbersBothWays(number: UInt64, decimal: String, hexadecimal: String) {
        var written: [UInt8] = []
        written.append(decimal: number)
        #expect(String(decoding: written, as: UTF8.self) == decimal)
        #expect(written[...].number == number)
        written = []
        written.append(hex: number)
        #expect(String(decoding: written, as: UTF8.self) == hexadecimal)
        #expect(written[...].number == number)
    }

    @Test(arguments: [
        "", "x", "0x", "0xg", "12a", "1 ", " 1", "-1", "+1", "0x12 ", "18446744073709551616", "0x10000000000000000",
        "99999999999999999999999", "0X12",
    ])
    func noNumbers(text: String) {
        #expect(Array(text.utf8)[...].number == nil)
    }

    struct Digits: Sendable {
        let text: String
        let radix: UInt64
        let value: UInt64?
        let rest: String
    }

    @Test(arguments: [
        Digits(text: "345,x", radix: 10, value: 345, rest: ",x"),
        Digits(text: "c00C..d", radix: 16, value: 0xc00c, rest: "..d"),
        Digits(text: "12ab", radix: 10, value: 12, rest: "ab"),
        Digits(text: "0", radix: 10, value: 0, rest: ""),
        Digits(text: "000018446744073709551615", radix: 10, value: .max, rest: ""),
        Digits(text: "18446744073709551616 ", radix: 10, value: nil, rest: "18446744073709551616 "),
        Digits(text: "10000000000000000", radix: 16, value: nil, rest: "10000000000000000"),
        Digits(text: "", radix: 10, value: nil, rest: ""),
        Digits(text: "g1", radix: 16, value: nil, rest: "g1"),
    ])
    func takeNumber(digits: Digits) {
        var text = Array(digits.text.utf8)[...]
        #expect(text.takeNumber(radix: digits.radix) == digits.value)
        #expect(String(decoding: text, as: UTF8.self) == digits.rest)
    }

    @Test func takeFieldSplitsAtEverySeparator() {
        // A slice that does not start at zero.
        var text = Array("__a,,bc".utf8)[2...]
        #expect(text.takeField(until: 0x2c).equals("a"))
        #expect(text.takeField(until: 0x2c).isEmpty)
        #expect(text.equals("bc"))
        #expect(text.takeField(until: 0x2c).equals("bc"))
        #expect(text.isEmpty)
        #expect(text.takeField(until: 0x2c).isEmpty)
        #expect(text.isEmpty)
    }

    @Test func prefixes() {
        let text = Array("..vmemmap_list".utf8)[2...]
        #expect(text.starts(with: "vmemmap"))
        #expect(!text.starts(with: "vmemmap_list_"))
        #expect(!text.equals("vmemmap"))
        #expect(text.equals("vmemmap_list"))
    }

    @Test func skippedPrefixes() {
        func rest(skipping prefix: StaticString) -> String? {
            var text = Array("..vmemmap_list".utf8)[2...]
            let before = text
            guard text.skip(prefix) else { return text == before ? nil : "changed" }
            return String(decoding: text, as: UTF8.self)
        }
        #expect(rest(skipping: "vmemmap_") == "list")
        #expect(rest(skipping: "") == "vmemmap_list")
        #expect(rest(skipping: "vmemmap_list") == "")
        #expect(rest(skipping: "list") == nil)
        #expect(rest(skipping: "vmemmap_list ") == nil)
    }
}
