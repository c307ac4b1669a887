package doctor

type viewCache struct{}
