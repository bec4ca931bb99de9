"""The generated design, compiled and driven from Python."""
