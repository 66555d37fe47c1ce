// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Testing
import VmemmapPopulate

@testable import Reports
@testable import Verification

/// What is drawn of a memory map.
@Suite struct MapTests {
    private func page(_ change: (inout Snapshot) -> Void) throws -> (document: String, page: Page) {
        let document = ReportFormat.html.document(of: SampleRecord.run(entryCount: 256, change: change))
        return (document, try Page(document))
    }

    @Test func aHoleIsDrawnAndTold() throws {
        let whole = try page { _ in }
        #expect(whole.page.text.contains("There is no hole."))
        #expect(!whole.document.contains("class=\"hole\" x=\"398"))
        let (document, page) = try page { $0.kernelList.entries.remove(at: 153) }
        #expect(page.text.contains("There are holes: see below."))
        #expect(page.text.contains("Holes: described by a present section, and backed by nothing"))
        #expect(document.contains("data-start=\"0xc0003f0000066000\""))
        #expect(document.contains("class=\"hole\" x=\"398"))
    }

    /// Memory that brought its own memory map, and a section where the machine has no memory.
    @Test func altmapsAndStrangeSectionsAreTold() throws {
        let (_, page) = try page { snapshot in
            var history = HotplugHistory(bootMemory: [])
            history.note(.added, 0x1000_0000..<0x1001_0000, hasAltmap: true)
            snapshot.history = history
            snapshot.sections.append(
                PresentSection(number: 64, vmemmapBase: snapshot.kernel.vmemmapBase, isOnline: true))
        }
        #expect(page.text.contains("16 lie in memory that brought its own memory map"))
        #expect(page.text.contains("present, and not the machine's"))
    }

    /// Blocks in no order are few shapes, and none of those is lost.
    @Test func manyBlocksAreFewShapes() {
        let ranges = (0..<UInt64(5000)).map { $0 * 1000..<$0 * 1000 + 1 }
        let strip = Strip(0..<5_000_000, largest: 5_000_000, label: "", [(.block, ranges)]).html.source
        #expect(strip.matches(of: /<rect/).count == 1)
        let far = Strip(0..<5_000_000, largest: 5_000_000, label: "", [(.block, [0..<1, 4_999_999..<5_000_000])])
        #expect(far.html.source.contains("x=\"998\""))
    }

    /// Whatever numbers a snapshot holds, there is a page.
    @Test(arguments: [UInt64.max, UInt64.max - 1, 1 << 63, 1 << 62, 0, 1] as [UInt64])
    func endsOfAllNumbers(number: UInt64) throws {
        let changes: [(inout Snapshot) -> Void] = [
            { $0.kernel.vmemmapBase = number }, { $0.kernel.pageByteCount = number },
            { $0.kernel.structPageByteCount = number }, { $0.kernel.sectionSizeBits = number },
            { $0.kernel.vmemmapPageShift = number & 63 }, { $0.memory[0].base = number },
            { $0.memory[0].byteCount = number }, { $0.sections[0].number = number },
            { $0.kernelList.entries[3].virtAddr = number }, { $0.kernelList.entries[3].phys = number },
            { $0.kernelList.entries[3].node = number },
            { snapshot in
                let window = BackedWindow(place: number, virtAddr: number, phys: number, byteCount: number)
                snapshot.witnesses = [.pageTables]
                snapshot.pageTables = WalkedTables(windows: [window, window], faults: [])
            },
        ]
        for change in changes { _ = try page(change) }
    }
}
