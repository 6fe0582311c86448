from multirec.testing.conformance import BackendConformance


class TestExample(BackendConformance):
    backend = "example"
