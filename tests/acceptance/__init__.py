"""What the project promises, shown in every framework by one set of test bodies. A package, so that its conftest is its own."""
