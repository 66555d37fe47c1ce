// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing

struct VmcoreinfoTests {
    @Test func values() {
        let info = Vmcoreinfo(text: Array("A=1\nAB=2\nC=c0ff\nD=\nE\nF=1x\nA=9\nLAST=12".utf8))
        #expect(info.decimal("A") == 1)
        #expect(info.decimal("AB") == 2)
        #expect(info.hexadecimal("C") == 0xc0ff)
        #expect(info.decimal("C") == nil)
        #expect(info.value("D")?.isEmpty == true)
        #expect(info.decimal("D") == nil)
        #expect(info.value("E") == nil)
        #expect(info.decimal("F") == nil)
        #expect(info.decimal("LAST") == 12)
        #expect(info.value("MISSING") == nil)
        #expect(info.value("") == nil)
    }

    @Test func anEmptyTextHasNothing() {
        #expect(Vmcoreinfo(text: []).value("PAGESIZE") == nil)
    }

    @Test(arguments: [ByteOrder.little, .big])
    func noteInBothOrders(order: ByteOrder) throws {
        let sample = SampleVmcoreinfo()
        let info = try #require(Vmcoreinfo(note: sample.note(order: order), order: order))
        #expect(info.text == sample.text)
        let padded = try #require(Vmcoreinfo(note: sample.note(order: order) + [0, 0, 0, 1], order: order))
        #expect(padded.text == sample.text)
        #expect(Vmcoreinfo(note: sample.note(order: order), order: order == .little ? .big : .little) == nil)
    }

    struct DamagedNote: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let damage: @Sendable (inout [UInt8]) -> Void

        init(_ description: String, _ damage: @escaping @Sendable (inout [UInt8]) -> Void) {
            testDescription = description
            self.damage = damage
        }
    }

    @Test(arguments: [
        DamagedNote("empty") { $0 = [] },
        DamagedNote("header only") { $0 = Array($0.prefix(12)) },
        DamagedNote("half a name") { $0 = Array($0.prefix(20)) },
        DamagedNote("name and no text") { $0 = Array($0.prefix(24)) },
        DamagedNote("one byte short") { $0.removeLast() },
        DamagedNote("name size") { $0[0] = 12 },
        DamagedNote("type") { $0[8] = 1 },
        DamagedNote("name") { $0[12] = 0x58 },
        DamagedNote("name's padding") { $0[23] = 1 },
        DamagedNote("no text by its size") { $0.replaceSubrange(4..<8, with: [0, 0, 0, 0]) },
        DamagedNote("size of 4 GiB") { $0.replaceSubrange(4..<8, with: [0xff, 0xff, 0xff, 0xff]) },
        DamagedNote("another text") { $0[24] = 0x58 },
    ])
    func noNote(damaged: DamagedNote) {
        var note = SampleVmcoreinfo().note(order: .little)
        damaged.damage(&note)
        #expect(Vmcoreinfo(note: note, order: .little) == nil)
    }

    @Test(arguments: [(0, true), (1, false)])
    func theLargestNote(extra: Int, isTaken: Bool) {
        let start = Array("OSRELEASE=6.1\n".utf8)
        let filler = [UInt8](repeating: 0x0a, count: Vmcoreinfo.maximumByteCount - start.count + extra)
        let note = SampleVmcoreinfo.note(text: start + filler, order: .little)
        #expect((Vmcoreinfo(note: note, order: .little) != nil) == isTaken)
    }
}
