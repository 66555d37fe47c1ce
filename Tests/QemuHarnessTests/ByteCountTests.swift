// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HarnessBasics
import OfflineCommands
import Plans
import Testing

@testable import qemu_harness

@Suite struct ByteCountTests {
    @Test(
        arguments: [
            ("0KiB", 0), ("1KiB", 1 << 10), ("256MiB", 256 << 20), ("1GiB", 1 << 30), ("007GiB", 7 << 30),
            ("8TiB", 8 << 40),
            ("18014398509481983KiB", .max - 1023), ("16777215TiB", .max - (1 << 40) + 1),
        ] as [(String, UInt64)])
    func readsSizes(text: String, value: UInt64) {
        #expect(ByteCount(argument: text) == ByteCount(value))
    }

    @Test(arguments: [
        "", "1", "GiB", "1G", "1GB", "1gib", "1GIB", "1 GiB", " 1GiB", "1GiB ", "1GiB1", "1.5GiB", "-1GiB", "+1GiB",
        "0x1GiB", "1EiB", "1B", "٣GiB", "1MiBGiB", "18014398509481984KiB", "16777216TiB", "18446744073709551616KiB",
    ])
    func refusesEverythingElse(text: String) {
        #expect(ByteCount(argument: text) == nil)
    }

    @Test(
        arguments: [
            (0, "0 bytes"), (1, "1 bytes"), (1023, "1023 bytes"), (1 << 10, "1 KiB"), (1536 << 20, "1536 MiB"),
            (1 << 30, "1 GiB"), (3 << 40, "3 TiB"), (.max, "18446744073709551615 bytes"),
        ] as [(UInt64, String)])
    func isShownInTheLargestWholeUnit(value: UInt64, text: String) {
        #expect(ByteCount(value).text == text)
        #expect(value == 0 || ByteCount(value).defaultValueDescription == text.replacing(" ", with: ""))
    }

    @Test(arguments: [0, 1 << 10, 1536 << 20, 3 << 40] as [UInt64]) func readsWhatItWrites(value: UInt64) {
        #expect(ByteCount(argument: ByteCount(value).written) == ByteCount(value))
    }
}
