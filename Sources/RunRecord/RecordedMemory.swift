// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import Verification

/// The newest thing in a record that holds a kernel's memory map.
public enum RecordedMemory {
    /// A dump that was kept.
    case dump(URL)
    /// What was read of a kernel.
    case snapshot(Snapshot, URL)

    /// Looks into a run's directory; nil where it has neither, or is none. A dump is of the kernel's end, and so newer than
    /// every snapshot.
    ///
    /// - Throws: ``RecordProblem`` for a snapshot that cannot be read.
    public init?(newestIn directory: URL) throws {
        func newest(_ folder: URL, _ step: (String) -> Int?) -> URL? {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            return names.compactMap { name in step(name).map { ($0, name) } }.max { $0.0 < $1.0 }
                .map { folder.appending(path: $0.1) }
        }
        let dumps = directory.appending(path: RunDirectory.dumpsName)
        if let dump = newest(dumps, RunDirectory.step(ofDump:)) {
            self = .dump(dump)
        } else if let file = newest(directory, RecordFile.step(ofSnapshot:)) {
            self = .snapshot(try RecordFile.document(at: file), file)
        } else {
            return nil
        }
    }
}
