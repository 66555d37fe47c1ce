// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Testing
import VmemmapPopulate

@testable import qemu_harness

struct EmulateCommandTests {
    private func emulation(_ arguments: String) throws -> Emulation {
        try EmulateCommand.parse(arguments.split(separator: " ").map(String.init) + ["--progress", "none"]).emulate()
    }

    struct Example: Sendable {
        let arguments: String
        let entries: UInt64
        let pages: UInt64
        let freed: UInt64
    }

    @Test(arguments: [
        Example(arguments: "", entries: 16, pages: 1, freed: 0),
        Example(arguments: "--memory 1GiB --plug 1GiB", entries: 32, pages: 1, freed: 0),
        Example(arguments: "--plug 1GiB --unplug 1", entries: 16, pages: 1, freed: 16),
        Example(arguments: "--rules 2010 --plug 1GiB --unplug 1", entries: 32, pages: 1, freed: 0),
        Example(arguments: "--page-size 4KiB", entries: 4096, pages: 25, freed: 0),
        Example(arguments: "--page-size 4KiB --vmemmap-page 16MiB --memory 4GiB", entries: 4, pages: 1, freed: 0),
        Example(arguments: "--mmu radix --rules radix-list --plug 3GiB@1GiB", entries: 2, pages: 1, freed: 0),
        Example(arguments: "--mmu radix --plug 1GiB@0x40000000", entries: 0, pages: 0, freed: 0),
        Example(arguments: "--plug 1GiB --plug 1GiB --unplug 2 --unplug 1", entries: 16, pages: 1, freed: 32),
    ])
    func counts(example: Example) throws {
        let emulation = try emulation(example.arguments)
        #expect(emulation.entries == example.entries)
        #expect(emulation.listPages == example.pages)
        #expect(emulation.freedNodes == example.freed)
        #expect(emulation.wasteBytes == emulation.listBytes - 24 * example.entries)
        #expect(emulation.failures.isEmpty)
    }

    @Test func aFault() throws {
        let emulation = try emulation("--plug 1GiB --unplug 1 --fail-at 34")
        #expect(
            emulation.failures == [
                "plug 1: no memory for the memory map (-ENOMEM)", "unplug 1: its plug failed",
            ])
        #expect(emulation.entries == 16)
    }

    /// What no kernel can have, with a word of the reason.
    @Test(
        arguments: [
            ("--memory 64TiB --page-size 4KiB", "ends at 61 TiB"),
            ("--memory 4PiB", "invalid"),
            ("--memory 2049TiB", "ends at 2048 TiB"),
            ("--memory 17TiB --rules 2010", "ends at 16 TiB"),
            ("--memory 100MiB", "sections of 16 MiB"),
            ("--memory 0KiB", "sections of 16 MiB"),
            ("--memory 512MiB --vmemmap-page 16MiB", "1 GiB"),
            ("--page-size 16KiB", "only 4 KiB or 64 KiB"),
            ("--vmemmap-page 2MiB", "they are 4 KiB or 64 KiB or 16 MiB"),
            ("--mmu radix --vmemmap-page 16MiB", "they are 2 MiB"),
            ("--mmu radix --rules 2010", "those of the hash MMU"),
            ("--plug 100MiB", "memory blocks of 256 MiB"),
            ("--plug 1GiB@0x40000000 --plug 1GiB@0x60000000", "overlaps"),
            ("--plug 1GiB@0", "invalid"),
            ("--plug 1GiB@0KiB", "overlaps"),
            ("--plug 1GiB@0xffffffffffffffff", "does not fit"),
            ("--plug 1GiB@1@2", "invalid"),
            ("--unplug 1", "no plug of this number"),
            ("--unplug 0", "no plug of this number"),
            ("--plug 1GiB --unplug 1 --unplug 1", "is not there"),
        ] as [(String, String)])
    func refusals(arguments: String, reason: String) {
        do {
            _ = try emulation(arguments)
            Issue.record("\(arguments) was accepted")
        } catch let HarnessError.usage(message) {
            #expect(message.contains(reason))
        } catch {
            #expect(EmulateCommand.message(for: error).contains(reason) || reason == "invalid")
            #expect(EmulateCommand.exitCode(for: error).rawValue == 64)
        }
    }
}
