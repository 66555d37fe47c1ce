// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// This program.
public enum Program {
    /// Its version.
    public static let version = "0.1.0"

    /// The file that runs, however it was called: on Linux this link always leads there.
    public static var executable: URL { URL(filePath: "/proc/self/exe").resolvingSymlinksInPath() }

    /// Where scripts/install puts what the program needs, under the prefix.
    private static let share = "share/qemu-harness"

    /// A file that comes with a program: in a folder above it, as in a checkout, or where scripts/install puts it under such
    /// a folder; the nearest one, nil where there is none.
    public static func companion(_ path: String, of executable: URL) -> URL? {
        var folder = executable.resolvingSymlinksInPath().deletingLastPathComponent()
        while folder.path != "/" {
            for base in [folder, folder.appending(path: share)] {
                let file = base.appending(path: path)
                if FileManager.default.fileExists(atPath: file.path) { return file }
            }
            folder.deleteLastPathComponent()
        }
        return nil
    }

    /// One of the project's scripts, as a person calls it: of an installed program those that came with it.
    ///
    /// What an installed program lacks that no script of its own makes, installing it anew does.
    public static func script(_ name: String, of executable: URL = executable) -> String {
        guard let companion = companion("scripts/guest-kernel", of: executable),
            companion.path.contains("/\(share)/")
        else { return "scripts/\(name)" }
        let file = companion.deletingLastPathComponent().appending(path: name)
        return FileManager.default.fileExists(atPath: file.path) ? file.path : "scripts/install"
    }
}
