// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Testing
import Verification
import VmemmapPopulate

@Suite struct SnapshotJSONTests {
    private func roundTrip<Value: Codable>(_ value: Value) throws -> Value {
        try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value))
    }

    @Test(arguments: [GoodSnapshot.hash(), GoodSnapshot.radix(), GoodSnapshot.emptyRadix(), GoodSnapshot.radixTables()])
    func snapshotsComeBack(snapshot: Snapshot) throws {
        #expect(try roundTrip(snapshot) == snapshot)
    }

    @Test func everyKindOfStatementComesBack() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.kernel.vmemmapPageShift = nil
        snapshot.reportProblem = "no known end: 9"
        snapshot.mirror?.provenance[0] = nil
        snapshot.mirror?.provenance[1] = .healed
        snapshot.translations[0].answer = .unmapped
        snapshot.translations[1].answer = .cannotSay("the CPU is in user mode")
        #expect(try roundTrip(snapshot) == snapshot)
        snapshot.mirror = nil
        snapshot.report = nil
        #expect(try roundTrip(snapshot) == snapshot)
    }

    @Test func verdictsComeBack() throws {
        for change in ListFindingTests.changes {
            let verdict = try Verifier.verdict(on: change.snapshot())
            #expect(try roundTrip(verdict) == verdict)
        }
    }

    /// What is a number to the guest has its name in JSON, as a value and as a key.
    @Test func whatTheGuestNumbersIsNamed() throws {
        func names(_ values: [some NamedInJSON]) throws -> [String] {
            #expect(try roundTrip(values).map(\.rawValue) == values.map(\.rawValue))
            return try JSONDecoder().decode([String].self, from: JSONEncoder().encode(values))
        }
        #expect(try names(MMU.allCases) == ["unknown", "hash", "radix"])
        #expect(try names(Provenance.allCases) == ["seeded", "observed", "healed"])
        #expect(
            try names(ListWalk.End.allCases)
                == ["terminated", "cycle", "misplaced", "unreadable", "limit-reached", "truncated"])
        let counts: [Provenance: Int] = [.seeded: 1, .healed: 2]
        #expect(try roundTrip(counts) == counts)
        #expect(
            try JSONDecoder().decode([String: Int].self, from: JSONEncoder().encode(counts))
                == ["seeded": 1, "healed": 2])
        for text in ["\"\"", "\"Hash\"", "1", "null"] {
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(MMU.self, from: Data(text.utf8)) }
        }
    }

    /// JSON readers that know doubles only would round these.
    @Test(arguments: [1 << 53 + 1, 0xc00c_0000_0000_0001, .max - 1, .max] as [UInt64])
    func addressesKeepEveryBit(address: UInt64) throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.kernel.vmemmapBase = address
        snapshot.memory[0].base = address
        snapshot.sections[0].vmemmapBase = address
        snapshot.kernelList.head = address
        snapshot.kernelList.endLink = address
        snapshot.kernelList.entries[0] = ListEntry(node: address, list: address, phys: address, virtAddr: address)
        snapshot.mirror?.header[0].value = address
        snapshot.mirror?.statements[0].value = address
        snapshot.translations[0] = Translation(virtAddr: address, answer: .physical(address))
        #expect(try roundTrip(snapshot) == snapshot)
        let text = String(decoding: try JSONEncoder().encode(snapshot), as: UTF8.self)
        #expect(text.contains("\"\(address.hexadecimal)\""))
        #expect(!text.contains("\(address)"))
    }

    @Test(arguments: ["0x0", "0xffffffffffffffff", "0xFFFF", "0x00000000000000000001"])
    func readsHexadecimalWords(text: String) throws {
        let word = try JSONDecoder().decode(Hex.self, from: Data("\"\(text)\"".utf8))
        #expect(word.wrappedValue == UInt64(text.dropFirst(2), radix: 16))
    }

    @Test(arguments: [
        "\"\"", "\"0x\"", "\"12\"", "\"x12\"", "\"0X12\"", "\"0x10000000000000000\"", "\"0x12 \"", "\"0xg\"",
        "\"-0x1\"",
        "\"0x-0\"", "\"0x+5\"", "\"0x0x1\"", "12", "null", "[]",
    ])
    func refusesWhatIsNoHexadecimalWord(json: String) {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(Hex.self, from: Data(json.utf8)) }
    }

    @Test func anAnswerThatIsNoAddressIsNone() throws {
        let texts = ["0x12": .physical(0x12), "unmapped": .unmapped] as [String: Translation.Answer]
        for (text, answer) in texts {
            #expect(try JSONDecoder().decode(Translation.Answer.self, from: Data("\"\(text)\"".utf8)) == answer)
        }
        for text in ["0x+5", "0x", "5", "", "Unmapped"] {
            let answer = try JSONDecoder().decode(Translation.Answer.self, from: Data("\"\(text)\"".utf8))
            #expect(answer == .cannotSay(text))
        }
    }

    @Test func findingsCarryTheirNames() throws {
        let finding = Finding(.list, .hole, "nothing at 0x0")
        #expect(finding.name == "list-coverage-hole")
        let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(finding)) as? [String: String]
        #expect(
            object == [
                "name": "list-coverage-hole", "subject": "list", "fault": "coverage-hole", "message": "nothing at 0x0",
            ])
    }
}
