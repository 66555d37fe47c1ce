// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// This program.
public enum Program {
    /// Its version.
    public static let version = "0.1.0"

    /// The file that runs, however it was called: on Linux this link always leads there.
    public static var executable: URL { URL(filePath: "/proc/self/exe").resolvingSymlinksInPath() }
}
