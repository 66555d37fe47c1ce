// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Subprocess
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// A copy of a recorded run, which a test may damage.
struct RecordedRun {
    private let folder: TemporaryFolder
    let url: URL

    /// The names of the records in Fixtures.
    static let names = [
        "run-6.1-power8", "run-6.1-power9", "run-6.1-power8-unplug", "run-6.12-64k-power8", "run-6.12-64k-power9",
        "run-6.12-4k-power8-failed-plug", "run-6.1-power8-kdump", "run-6.1-power9-kdump",
    ]

    static func fixture(_ name: String) throws -> URL {
        try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil)).appending(path: name)
    }

    /// What a record calls its run.
    static func runName(_ name: String = names[0]) throws -> String {
        struct Named: Decodable { let run: String }
        return try JSONDecoder().decode(Named.self, from: Data(contentsOf: fixture(name).appending(path: "run.json")))
            .run
    }

    /// Edits the block of the newest entry on the kernel's list.
    func editNewestBlock(in name: String) throws {
        var snapshot = try JSONDecoder().decode(Snapshot.self, from: Data(contentsOf: file(name)))
        try #require(!snapshot.kernelList.entries.isEmpty)
        snapshot.kernelList.entries[0].phys += 65536
        try RunDirectory.json(snapshot).write(to: file(name))
    }

    init(_ name: String = names[0]) throws {
        folder = try TemporaryFolder()
        url = folder.url.appending(path: "run")
        try FileManager.default.copyItem(at: Self.fixture(name), to: url)
    }

    func file(_ name: String) -> URL { url.appending(path: name) }

    func text(_ name: String) throws -> String { try String(contentsOf: file(name), encoding: .utf8) }

    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: file(name))
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(at: file(name))
    }

    /// Replaces the first occurrence of a text, which must be there.
    func edit(_ name: String, _ old: String, _ new: String) throws {
        let text = try text(name)
        let range = try #require(text.range(of: old), "\(name) has no '\(old)'")
        try write(text.replacingCharacters(in: range, with: new), to: name)
    }

    /// Leaves the first half of a file.
    func cutOff(_ name: String) throws {
        let data = try Data(contentsOf: file(name))
        try data.prefix(data.count / 2).write(to: file(name))
    }

    /// Takes a member out of run.json.
    func removeFromInformation(_ keys: String...) throws {
        try changeInformation { information in
            for key in keys { information[key] = nil }
        }
    }

    /// Gives run.json the digest that a file has now, as somebody does who covers an edit up.
    func coverUp(_ name: String) async throws {
        let sum = try await Subprocess.run(
            .name("sha256sum"), arguments: [file(name).path], input: .none, output: .string(limit: 4096))
        let digest = String(sum.standardOutput.prefix(64))
        try changeInformation { information in
            var digests = try #require(information["digests"] as? [String: String])
            digests[name] = digest
            information["digests"] = digests
        }
    }

    func changeInformation(_ change: (inout [String: Any]) throws -> Void) throws {
        let data = try Data(contentsOf: file("run.json"))
        var information = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        try change(&information)
        try JSONSerialization.data(withJSONObject: information).write(to: file("run.json"))
    }

    /// Runs `qemu-harness verify`.
    static func verify(_ arguments: [String]) async throws -> HarnessProgram.Ending {
        try await HarnessProgram.run(["verify"] + arguments)
    }

    func verify(_ arguments: String...) async throws -> HarnessProgram.Ending {
        try await Self.verify([url.path] + arguments)
    }
}
